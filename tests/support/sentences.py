"""Parts of sentences that several tests expect of errors, each written once.

A test of an error says which sentence comes at which place. What the sentence says is here, so that
a better wording changes one line of the tests.
"""

from typing import Final

# Configuration and web config file
UNKNOWN_KEY: Final = "is not a known key; did you mean"
NO_SUCH_KEY: Final = "is not a known key; the keys here are"
KEY_OF_ANOTHER_PLACE: Final = "is not a known key here; it belongs"
NO_MAPPING: Final = "must be keys with their values"
NO_LIST: Final = "must be a list; begin each item with '- '"
NOTHING_LISTED: Final = "must not be an empty list; name at least one"
NEEDS_QUOTES: Final = "must be text; put it in quotes"
NO_DURATION: Final = "must be a duration such as 90s, 1h30m or 1d"
BARE_NUMBER: Final = "a number alone has no unit"
NO_SIZE: Final = "must be a size such as 500GB, 2TB or 1.5TiB"
ORDER_OF_UNITS: Final = "each once, the largest first"
UNSET_VARIABLE: Final = "is not set; set it, or write the value here"
EMPTY_VALUE: Final = "it is empty here, so write it or leave its key out"
LEADING_ZERO: Final = "remove the zero at its beginning, which can mean an octal number"
IS_FOLDER: Final = "is a folder; name the file in it"
IMPOSSIBLE_FILE_NAME: Final = "has a name that no file can have"
EMPTY_FOLDER: Final = "the folder holds no *.yaml file; add one, or name another folder"
FILE_WITH_VALUE: Final = "_file with the path of a file that holds it"
SECRET_WITH_SPACE: Final = "holds a space or a line break inside; a secret is one word"
SAME_ACCOUNT: Final = "names the same account as line"
NAME_ACCOUNTS: Final = "give each a name of its own"
NO_ACCOUNT: Final = "is missing; name at least one account under it"
NO_PATH: Final = "is missing; write the path to count, such as sestore4/jb"
NO_STORE: Final = "must begin with sestore and its number; write sestore4/jb for a folder jb"
COLON: Final = (
    "a ':' is not allowed here; check the indentation, quote a text that holds ': ', "
    "and end each key above with"
)
TAB: Final = "a tab cannot indent; write spaces"
ANOTHER_KEY: Final = "holds the key of another certificate"
NO_SWITCH: Final = "cannot be switched on or off while the exporter runs; restart it"

# Command line
NO_DAY: Final = "is no day: write it as 2026-01-31"
NO_STEP: Final = "must be whole seconds, from 1m to 1d"
NO_LABEL: Final = "is no label: write it as job=scaleengine"
NO_LISTEN_ADDRESS: Final = (
    "is no address to listen on: write host:port, [IPv6]:port, :port for every "
    "address of this machine, or unix:/path"
)
NO_SOCKET_PATH: Final = "is no address: write the whole path, as unix:/run/x.sock"
NAMED_TWICE: Final = "--web.listen-address names it twice: remove one"
PORT_TAKEN: Final = "it is taken: another process listens there; stop it or choose another address"

# Limits of this machine
NO_MEMORY: Final = "this process has no memory left"
TOO_MANY_FILES: Final = "this process has too many open files"
THREAD_LIMIT: Final = "this process can start no further thread"

# Requests of the API, and their responses
REFUSED_CONNECTION: Final = "the connection was refused"
UNTRUSTED_CERTIFICATE: Final = "the certificate is not trusted"
CHECK_URL: Final = "check api.url, and any proxy on the way"
CHECK_CLOCK: Final = "check the clock of this machine"
CHECK_NETWORK: Final = "the network and any firewall"
REFUSED_TIME: Final = "ScaleEngine refused the time of the request"
REFUSED_SIGNATURE: Final = "ScaleEngine refused the signature"
REFUSED_KEY: Final = "ScaleEngine refused the key"
DENIED_COMMAND: Final = "ScaleEngine denies this command"
ASK_TO_GRANT: Final = "ask ScaleEngine's support to grant it to"
ASK_SUPPORT: Final = "or ask ScaleEngine's support"
REPORTED_FAILURE: Final = "ScaleEngine reports a failure"
FOREIGN_RESPONSE: Final = "the response is not one of ScaleEngine's"
FOREIGN_BODY: Final = "the body is not ScaleEngine's"
UNDOCUMENTED_RESPONSE: Final = "the response is not what ScaleEngine documents"
LOOK_FOR_RELEASE: Final = "look for a newer release of this exporter"
LARGE_RESPONSE: Final = "the response is larger than"
BAD_COMPRESSION: Final = "the response cannot be decompressed"
TWO_LENGTHS: Final = "its Content-Length is two numbers"
NOT_SENT: Final = "the request could not be sent"
STOPPED_AT_PROXY: Final = "at the proxy, the request was not let through"
NO_HOST_NAME: Final = "the name cannot be one of a host"
NO_WHOLE_NUMBER: Final = "must be a whole number, is"
NO_PARTS: Final = "must be a list of parts, is"
HALF_CHARACTER: Final = "a name has half of a surrogate pair"
NAME_TWICE: Final = "a mapping has the same key twice"
TWO_PARTS: Final = "two parts of a folder name the same thing"
NO_REQUESTED_PATH: Final = "it does not hold the requested path"
FUTURE_DAY: Final = "summary_date is in the future"
MORE_AFTER_END: Final = "behind its end, more is listed"
LONG_LABEL: Final = "characters, and a label may have"

# The check command
OTHER_TYPES: Final = "it has files of other types"
FAILED_NOT_COUNTED: Final = "what failed is not counted"
SHORT_STALE_AFTER: Final = "is shorter than the interval"
