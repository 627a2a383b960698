"""Ways to hand a letter over: Resend's HTTP API and SMTP."""
