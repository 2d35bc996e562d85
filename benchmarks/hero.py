"""The README's pictures: a recorded coin-settled options desk's page and list; needs $OPTIHEDGE_DATA and Chromium.

python benchmarks/hero.py docs/pictures

Quotes, sizes and volumes are Deribit's of 16 January 2026, as recorded; the book is drawn at random (seed 0, eight
options); futures' spreads are assumed. The page is `trade_list(hedge).to_html`, its upper part as Chromium draws it.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browser import browsing
from conftest import data_folder
from PIL import Image
from recorded_desks import RECORDED

import optihedge as oh

MODEL = oh.HedgeModel(
    name="delta and vega", description="Delta of the coin and vega of each expiry within bands, at the least cost.",
    risk=oh.EwmaRisk(halflife=63),
    objective=(oh.Variance(aversion=1e-5), oh.SpreadCost(), oh.FeeCost(), oh.DepthCost()),
    constraints=(oh.Neutral("delta", by="underlying", band=2_000), oh.Neutral("vega", by="expiry", band=25)),
)  # fmt: skip


PARTS = {"report": ("header", "figure"), "list": ("#list", "#list")}  # from the top of one to the bottom of another
EDGES = """(() => {const [a, b] = [%r, %r].map(x => document.querySelector(x).getBoundingClientRect());
return {x: 0, y: Math.max(a.top - 8, 0), width: 1340, height: b.bottom - a.top + 16, scale: 1}})()"""


def small(png: bytes) -> bytes:
    """The picture in 64 colours."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


def main(folder: Path) -> None:
    name, made, book = RECORDED["Deribit"]
    market = made(data_folder(name))
    listed = oh.trade_list(MODEL.hedge(market, book(market)), book="recorded BTC options desk")
    print(f"{listed.verdict}: {len(listed)} lines of {len(market.names)} contracts")
    with tempfile.TemporaryDirectory() as place, browsing() as browser:
        page = Path(place) / "report.html"
        listed.to_html(page)
        with browser.page(page.as_uri(), 1340, 4000) as shown:
            for what, (top, bottom) in PARTS.items():
                clip = shown.ask(EDGES % (top, bottom))
                png = base64.b64decode(shown.call("Page.captureScreenshot", clip=clip)["data"])
                (folder / f"{what}.png").write_bytes(small(png))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
