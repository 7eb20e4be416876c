#!/usr/bin/env python3
"""Certificates and keys for a federation with TLS and authenticated nodes.

    keys.py FOLDER NODES NAME...    NAME: a host name or an address of the server, such as 127.0.0.1

Writes ca.pem, for nodes and for `flwr`; server.pem and server.key, for the SuperLink; for each node client-K, its private key,
and client-K.pub, which is registered. The key of the authority is not kept. Keys that are there are not written over.
"""
import datetime
import ipaddress
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 365


def write(path, content, secret=False):
    """Makes a file that was not there: one that was may be open to others, and keys in use."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644), "wb") as file:
        file.write(content)


def private_bytes(key, form):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate(subject, issuer, key, signer, *extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
    builder = builder.not_valid_after(now + datetime.timedelta(days=DAYS))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def usage(**uses):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: uses.get(name, False) for name in names})


def main(folder, nodes, names):
    folder.mkdir(parents=True, exist_ok=True)
    there = sorted(path.name for pattern in ("*.pem", "*.key", "client-*") for path in folder.glob(pattern))
    if there:
        raise SystemExit(f"keys: {folder}: expected a folder without keys, got {there[0]}")
    authority, server = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    root = name_of("loru-flower authority")
    ca = certificate(root, root, authority, authority, (x509.BasicConstraints(True, 0), True),
                     (usage(key_cert_sign=True, crl_sign=True), True),
                     (x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), False))
    own = certificate(name_of(names[0]), root, server, authority, (x509.BasicConstraints(False, None), True),
                      (usage(digital_signature=True), True),
                      (x509.SubjectAlternativeName([alternative(name) for name in names]), False),
                      (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                      (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False))
    write(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    write(folder / "server.pem", own.public_bytes(serialization.Encoding.PEM))
    write(folder / "server.key", private_bytes(server, serialization.PrivateFormat.PKCS8), secret=True)
    for k in range(nodes):
        key = ec.generate_private_key(ec.SECP384R1())
        write(folder / f"client-{k}", private_bytes(key, serialization.PrivateFormat.OpenSSH), secret=True)
        write(folder / f"client-{k}.pub", key.public_key().public_bytes(serialization.Encoding.OpenSSH,
                                                                       serialization.PublicFormat.OpenSSH) + b"\n")


if __name__ == "__main__":
    if len(sys.argv) < 4 or not sys.argv[2].isdigit():
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
