"""A certificate authority that nothing trusts but what is given its certificate."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

_NEW_KEY: Final = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
_IS_CA: Final = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
_EXTENSIONS: Final = "subjectAltName={}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"


class Authority:
    """A certificate authority in a folder; ``certificate`` is the file that trusts it.

    Without openssl, every method raises FileNotFoundError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._openssl(
            f"req -x509 {_NEW_KEY} {_IS_CA} -keyout ca.key -out ca.pem -days 400 -subj /CN=CA"
        )

    def issue(self, name: str, subject: str, days: int) -> Path:
        """Return a file with a key and a certificate for the subject, valid for some days."""
        (self._folder / "extensions").write_text(_EXTENSIONS.format(subject))
        self._openssl(f"req {_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        self._openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
            f" -extfile extensions -days {days} -out {name}.pem"
        )
        return self._join(name)

    def self_signed(self, name: str, subject: str) -> Path:
        """Return a file with a key and a certificate for the subject that it signed itself."""
        self._openssl(
            f"req -x509 {_NEW_KEY} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"
            f" -addext subjectAltName={subject}"
        )
        return self._join(name)

    def _join(self, name: str) -> Path:
        joined = self._folder / f"{name}-joined.pem"
        parts = [(self._folder / f"{name}{ending}").read_text() for ending in (".key", ".pem")]
        joined.write_text("".join(parts))
        return joined

    def _openssl(self, command: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            raise FileNotFoundError("openssl is not installed")
        subprocess.run(  # noqa: S603 - the program is openssl, found on the path
            [program, *command.split()], cwd=self._folder, check=True, capture_output=True
        )
