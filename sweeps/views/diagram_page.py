"""The page of an interactive phase diagram: panels beside and below each other, as the window's width allows."""

import html

STYLE = """
body { font-family: "Open Sans", Verdana, Arial, sans-serif; margin: 12px 16px; color: #222; overflow-wrap: anywhere; }
h1 { font-size: 18px; font-weight: normal; margin: 4px 0; }
p { font-size: 13px; line-height: 1.45; margin: 4px 0; max-width: 1100px; }
#panels { display: grid; gap: 4px 10px; margin-top: 8px; }
#panels > div { min-width: 0; }
"""

SCRIPT = """
const LOOK = {displaylogo: false, responsive: true, modeBarButtons: [["toImage", "resetScale2d"]]};
async function show(diagram) {
  const panels = document.getElementById("panels");
  document.getElementById("title").textContent = diagram.title;
  document.getElementById("caption").textContent = diagram.caption;
  panels.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(100%, max(" + diagram.width + "px, 30%)), 1fr))";
  while (panels.children.length > diagram.figures.length) panels.lastChild.remove();
  while (panels.children.length < diagram.figures.length) panels.append(document.createElement("div"));
  for (const [place, figure] of diagram.figures.entries())
    await Plotly.react(panels.children[place], figure.data, figure.layout, LOOK);
}
"""
"""``width`` is what a panel needs at least; at most three are beside each other."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style>{plotly}</head>
<body><h1 id="title"></h1><p id="caption"></p><div id="panels"></div>{rest}
<script>{script}</script></body></html>
"""


def page(title: str, plotly: str, script: str, rest: str = "") -> str:
    """A page.

    Args:
        title: Of the window.
        plotly: The element that brings plotly.
        script: What calls ``show``.
        rest: What is below the panels.
    """
    return PAGE.format(title=html.escape(title), style=STYLE, plotly=plotly, rest=rest, script=SCRIPT + script)
