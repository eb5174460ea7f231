"""Another authority, made by openssl: step-ca, Vault and cert-manager give such files."""

from dataclasses import dataclass
from pathlib import Path

from unit.tls.tool import openssl

_AUTHORITY = (
    "basicConstraints=critical,CA:TRUE,pathlen:{length}\nkeyUsage=critical,keyCertSign,cRLSign\n"
)
_LEAF = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
    "extendedKeyUsage={usages}\nsubjectAltName={names}\nauthorityKeyIdentifier=keyid\n"
)


@dataclass(frozen=True)
class Foreign:
    """A root, an intermediate and what they sign, in one folder."""

    path: Path

    @classmethod
    def made(cls, path: Path, *, days: int = 100) -> "Foreign":
        """Makes a root and an intermediate."""
        path.mkdir(parents=True)
        foreign = cls(path)
        foreign.sign("root", _AUTHORITY.format(length=1), by=None, days=days)
        foreign.sign("intermediate", _AUTHORITY.format(length=0), by="root", days=days)
        return foreign

    def sign(
        self, name: str, extensions: str, *, by: str | None, days: int = 30, key: str = "P-256"
    ) -> None:
        """Makes a key and a certificate, NAME.key and NAME.crt."""
        options = self.path / f"{name}.ext"
        options.write_text(extensions)
        (self.path / f"{name}.key").unlink(missing_ok=True)
        openssl(
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            f"ec_paramgen_curve:{key}",
            "-out",
            self.key(name),
        )
        request, certificate = self.path / f"{name}.csr", self.path / f"{name}.crt"
        openssl(
            "req", "-new", "-key", self.key(name), "-subj", f"/CN=foreign {name}", "-out", request
        )
        signer = (
            ("-signkey", self.key(name))
            if by is None
            else (
                *("-CA", self.path / f"{by}.crt", "-CAkey", self.key(by)),
                "-CAcreateserial",
            )
        )
        openssl(
            *("x509", "-req", "-in", request, "-out", certificate, "-days", days, *signer),
            *("-extfile", options),
        )
        self.key(name).chmod(0o600)

    def key(self, name: str) -> Path:
        return self.path / f"{name}.key"

    def chain(self, name: str, *more: str) -> Path:
        """Returns a file with a certificate and those of its issuers, as tls.crt has them."""
        path = self.path / f"{name}.chain"
        path.write_text("".join((self.path / f"{part}.crt").read_text() for part in (name, *more)))
        return path

    @property
    def root(self) -> Path:
        return self.path / "root.crt"

    def leaf(
        self,
        name: str,
        *,
        names: str = "DNS:localhost",
        usages: str = "serverAuth,clientAuth",
        days: int = 30,
    ) -> tuple[object, ...]:
        """Makes a leaf; returns the options that import it."""
        self.sign(name, _LEAF.format(names=names, usages=usages), by="intermediate", days=days)
        return ("--certificate", self.chain(name, "intermediate"), "--key", self.key(name))
