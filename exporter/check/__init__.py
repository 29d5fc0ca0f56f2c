"""The command ``check``: try each account and path once, and report what is wrong.

`check` runs the trials and prints a table or JSON. It sends its requests as polling does. Serves
nothing, and knows neither the web server nor the metrics.
"""
