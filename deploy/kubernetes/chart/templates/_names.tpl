{{- define "scaleengine-exporter.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "scaleengine-exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "scaleengine-exporter.labels" -}}
{{ include "scaleengine-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "scaleengine-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "scaleengine-exporter.health" -}}
{{- if .Values.webConfigSecretName -}}
{{- /* It may want TLS, a certificate or a password, which a request of the kubelet has not. */ -}}
exec: {command: [scaleengine-exporter, healthcheck]}
timeoutSeconds: 5
{{- else -}}
httpGet: {path: /-/healthy, port: metrics}
timeoutSeconds: 5
{{- end -}}
{{- end -}}
