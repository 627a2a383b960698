"""A plain SMTP client that sends one mail to the sandbox."""

import smtplib
from email.message import EmailMessage

from pferdewert_ops.sandbox.mail import MailSandbox


def message(kind: str = "result") -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = "PferdeWert <info@pferdewert.de>"
    letter["To"] = "anna@example.org"
    letter["Subject"] = "Für dich: fertig"
    letter["Message-ID"] = "<1@pferdewert.de>"
    letter["X-Entity-Ref-ID"] = "result:1"
    letter["X-PferdeWert-Kind"] = kind
    letter.set_content("Schöne Grüße\n.Punkt\n")
    letter.add_alternative("<p>Schöne Grüße</p>\n", subtype="html")
    return letter


def send_by_smtp(sandbox: MailSandbox, kind: str = "result") -> None:
    with smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.port, local_hostname="test.invalid", timeout=10) as client:
        client.send_message(message(kind), to_addrs=["anna@example.org", "copy@example.org"])
