"""The form of a mail: one list of blocks, written out as HTML and as plain text."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    label: str
    url: str


Block = str | Link

_TEXT_WIDTH = 72  # what mail programs show without wrapping a second time


def as_text(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_text_block(block) for block in blocks) + "\n"


def _text_block(block: Block) -> str:
    if isinstance(block, Link):
        return f"{block.label}:\n{block.url}"  # never wrapped: a broken address is no link
    return "\n".join(
        textwrap.fill(line, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) for line in block.split("\n")
    )


# Colours are set twice on purpose: inline for programs that drop <style>, and by media query for dark screens.
_STYLE = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
body { margin: 0; padding: 0; background: #f6f3ee; color: #26211c; }
.page { background: #f6f3ee; }
.card { background: #ffffff; color: #26211c; }
.small { color: #6b6258; }
@media (prefers-color-scheme: dark) {
  body, .page { background: #171512 !important; }
  .card { background: #24211d !important; color: #f1ece5 !important; }
  .small, .small a { color: #b9b0a5 !important; }
  .button { background: #e2b27f !important; color: #1d1712 !important; }
}
@media (max-width: 480px) {
  .card { padding: 24px 20px !important; }
  .button { display: block !important; text-align: center !important; }
}
""".strip()

_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.55"


def as_html(title: str, blocks: Sequence[Block]) -> str:
    body = "\n".join(_html_block(block) for block in blocks)
    return f"""<!doctype html>
<html lang="de">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{html.escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body style="margin:0;padding:0">
<div class="page" style="padding:24px 12px">
<div class="card" style="max-width:560px;margin:0 auto;padding:32px;border-radius:12px;{_FONT}">
{body}
</div>
</div>
</body>
</html>
"""


def _html_block(block: Block) -> str:
    if isinstance(block, str):
        return f'<p style="margin:0 0 16px">{html.escape(block).replace(chr(10), "<br>")}</p>'
    url = html.escape(block.url)
    button = (
        "display:inline-block;background:#7a4a21;color:#ffffff;text-decoration:none;font-weight:600;"
        "padding:12px 22px;border-radius:8px"
    )
    return (
        f'<p style="margin:24px 0 12px"><a class="button" href="{url}" style="{button}">'
        f"{html.escape(block.label)}</a></p>\n"
        '<p class="small" style="margin:0 0 24px;font-size:13px;word-break:break-all">'
        f'Falls der Knopf nicht geht: <a href="{url}" style="color:inherit">{url}</a></p>'
    )
