"""A mail server for tests: TLS alone, one user, every mail a line of JSON in a file.

mail.py PORT implicit|starttls CERT KEY USER PASSWORD FILE
Prints "ready" when it listens. While FILE.refuse exists it answers 451 to every mail. Nobody is called gone@….
"""
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult

port, kind, cert, key, user, password, out = sys.argv[1:]


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if os.path.exists(out + ".refuse"):
            return "451 4.3.0 try again later"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = mail.get_body(("plain",))
        line = {
            "at_ms": int(time.time() * 1000),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "id": mail["Message-ID"],
            "subject": mail["Subject"],
            "text": part.get_content(),
            "raw": envelope.content.decode("ascii"),
        }
        with open(out, "a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")
        return "250 kept"


def check(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, handled=good)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    starttls = kind == "starttls"

    def make():
        return SMTP(
            Keep(),
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            auth_required=True,
            auth_require_tls=starttls,
            authenticator=check,
            hostname="mail.test",
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", int(port), ssl=None if starttls else tls)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
