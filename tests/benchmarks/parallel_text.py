"""Make a text to translate: ``python tests/benchmarks/parallel_text.py OUT``, with the standard library alone.

German-English pairs of sentences from packages of Debian: helps of LibreOffice and GNOME, and what LibreOffice says.
They are fetched with ``apt-get download`` into ``--debs``, but for those that are there already. Writes, in UTF-8,
``OUT/{train,valid,test}.{de,en}``, a sentence a line, the same line number on both sides, and ``OUT/stats.json``, which
has the packages' versions: others give another text.

Sentences are told apart by their letters alone (case, digits, punctuation and spaces do not count): no German and no
English sentence of valid or test is in another part, and no training sentence, on either side, shares ``--nearest``
of its words or more with one of them (Jaccard overlap of the sets of words; helps are full of templates). The order,
and so which part a pair is in, is that of a hash of its German letters.
"""

import argparse
import collections
import gzip
import hashlib
import html
import html.parser
import io
import json
import lzma
import math
import re
import struct
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PACKAGES = ["libreoffice-help-en-us", "libreoffice-help-de", "libreoffice-l10n-de", "gnome-user-docs"]

MALLARD = "{http://projectmallard.org/1.0/}"
"""Namespace of the pages of GNOME's help."""

ABBREVIATION = re.compile(r"(?:\b(?:z\. ?B|d\. ?h|u\. ?a|o\. ?Ä|bzw|usw|ca|evtl|ggf|Nr|vgl|e\.g|i\.e|etc|vs|[A-Z]))\.$")


def data_of(deb: Path) -> tarfile.TarFile:
    """The files of a .deb: an ar archive whose member data.tar.* is a tar file."""
    raw = deb.read_bytes()
    assert raw[:8] == b"!<arch>\n", deb
    at = 8
    while at < len(raw):
        name, size = raw[at : at + 16].decode().strip().rstrip("/"), int(raw[at + 48 : at + 58])
        if name.startswith("data.tar"):
            body = raw[at + 60 : at + 60 + size]
            body = {".xz": lzma.decompress, ".gz": gzip.decompress, "": bytes}[name[len("data.tar") :]](body)
            return tarfile.open(fileobj=io.BytesIO(body))
        at += 60 + size + size % 2
    raise ValueError(f"{deb}: no data.tar")


class Blocks(html.parser.HTMLParser):
    """Texts of innermost <p> and <h1> to <h6>, by id; those without an id by their number in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[str, str] = {}
        self.key: str | None = None
        self.text: list[str] = []
        self.nameless = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch(r"p|h[1-6]", tag):
            self.close_block()
            self.key = dict(attrs).get("id")
            if self.key is None:
                self.key, self.nameless = f"#{self.nameless}", self.nameless + 1
            self.text = []
        elif tag in ("br", "td", "tr", "div", "pre"):
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if re.fullmatch(r"p|h[1-6]", tag):
            self.close_block()

    def close_block(self) -> None:
        if self.key is not None:
            self.blocks[self.key] = "".join(self.text)
            self.key = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def html_blocks(text: str) -> tuple[dict[str, str], int]:
    """Texts of a page by their keys, and how many have no id."""
    parser = Blocks()
    start = text.find("DisplayArea")
    parser.feed(text[text.find(">", start) + 1 :] if start >= 0 else text)
    return parser.blocks, parser.nameless


def libreoffice_help(english: Path, german: Path) -> Iterator[tuple[str, str]]:
    """Pairs of blocks of the same page and id."""
    sides = []
    for deb, folder in ((english, "/en-US/text/"), (german, "/de/text/")):
        files = {}
        with data_of(deb) as tar:
            for member in tar:
                if member.isfile() and folder in member.name and member.name.endswith(".html"):
                    files[member.name.split(folder)[1]] = tar.extractfile(member).read().decode()
        sides.append(files)
    for name in sorted(sides[0].keys() & sides[1].keys()):
        (en, en_nameless), (de, de_nameless) = (html_blocks(side[name]) for side in sides)
        for key in (key for key in en if key in de):
            if not key.startswith("#") or en_nameless == de_nameless:
                yield de[key], en[key]


def catalogues(deb: Path) -> Iterator[tuple[str, str]]:
    """Pairs of gettext's .mo files: English in the msgid after an optional context and \\x04."""
    with data_of(deb) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".mo"):
                raw = tar.extractfile(member).read()
                magic, _, count, ids, texts = struct.unpack("<5I", raw[:20])
                assert magic == 0x950412DE, member.name
                for i in range(count):
                    pair = []
                    for table in (ids, texts):
                        length, offset = struct.unpack_from("<2I", raw, table + 8 * i)
                        pair.append(raw[offset : offset + length].decode())
                    en, de = pair[0].split("\x04")[-1], pair[1]
                    if en and "\0" not in en:  # plural forms are left out
                        yield de.replace("~", ""), en.replace("~", "")


def mallard(deb: Path) -> Iterator[tuple[str, str]]:
    """Pages of GNOME's help: itstool keeps the structure, so the n-th paragraph is the n-th paragraph."""
    pages: dict[str, dict[str, list[str]]] = {"C": {}, "de": {}}
    with data_of(deb) as tar:
        for member in tar:
            found = re.search(r"/help/(C|de)/(.*\.page)$", member.name)
            if found and member.isfile():
                root = ElementTree.fromstring(tar.extractfile(member).read())
                texts = []
                for element in root.iter():
                    if element.tag in (MALLARD + "p", MALLARD + "title", MALLARD + "desc"):
                        texts.append("".join(element.itertext()))
                pages[found[1]][found[2]] = texts
    for name in sorted(pages["C"].keys() & pages["de"].keys()):
        en, de = pages["C"][name], pages["de"][name]
        if len(en) == len(de):
            yield from zip(de, en, strict=True)


def sentences(text: str) -> list[str]:
    """A block as sentences."""
    text = re.sub(r"\s+", " ", html.unescape(text).replace("\xad", "").replace("\u200b", "")).strip()
    out, start = [], 0
    for found in re.finditer(r"(?<=[.!?:])[\")“”»]?\s+(?=[\"„“(«]?[A-ZÄÖÜ])", text):
        piece = text[start : found.end()].strip()
        if not ABBREVIATION.search(piece) and not re.search(r"\b\d{1,2}\.$", piece):
            out.append(piece)
            start = found.end()
    out.append(text[start:].strip())
    return [piece for piece in out if piece]


def letters(text: str) -> str:
    """What a sentence is known by."""
    return "".join(c for c in text.casefold() if c.isalpha())


def words(text: str) -> frozenset[str]:
    """What sentences share more or less of."""
    return frozenset(re.findall(r"[^\W\d_]+", text.casefold()))


def near(candidates: list[str], held_out: list[str], nearest: float) -> set[int]:
    """Which candidates have an overlap of at least ``nearest`` with a sentence that is held out."""
    sets, places = [words(text) for text in candidates], collections.defaultdict(list)
    for index, own in enumerate(sets):
        for word in own:
            places[word].append(index)
    found: set[int] = set()
    for text in held_out:
        own = words(text)
        rare = sorted(own, key=lambda word: (len(places.get(word, ())), word))
        # Who shares that much of the words has one of any len - ceil(nearest * len) + 1 of them.
        for word in rare[: len(own) - math.ceil(nearest * len(own)) + 1]:
            found.update(i for i in places.get(word, ()) if len(own & sets[i]) >= nearest * len(own | sets[i]))
    return found


def is_clean(de: str, en: str, most_words: int) -> bool:
    """Whether these are sentences of two languages, of lengths that suit each other."""
    n_de, n_en = len(de.split()), len(en.split())
    if not (3 <= n_de <= most_words and 3 <= n_en <= most_words):
        return False
    if letters(de) == letters(en) or max(len(de), len(en)) > 2.2 * min(len(de), len(en)) + 10:
        return False
    if re.search(r"[{}<>\\|=_%$#@;\[\]]|\(\)|--|://", de + en):  # code, markup, templates
        return False
    return all(sum(c.isalpha() or c in " .,'-" for c in side) >= 0.85 * len(side) for side in (de, en))


def clean_pairs(
    sources: dict[str, Iterable[tuple[str, str]]], most_words: int
) -> tuple[dict[str, tuple[str, str, str]], dict[str, dict[str, int]]]:
    """Sentences, translations and sources by the German letters, and counts by source."""
    pairs: dict[str, tuple[str, str, str]] = {}
    english: set[str] = set()
    stats = {}
    for source, blocks in sources.items():
        count: collections.Counter[str] = collections.Counter()
        for de_block, en_block in blocks:
            count["blocks"] += 1
            de, en = sentences(de_block), sentences(en_block)
            if len(de) != len(en):
                count["blocks whose sentences differ in number"] += 1
                continue
            for d, e in zip(de, en, strict=True):
                count["sentences"] += 1
                if not is_clean(d, e, most_words):
                    continue
                count["clean"] += 1
                if letters(d) not in pairs and letters(e) not in english:
                    pairs[letters(d)] = (d, e, source)
                    english.add(letters(e))
                    count["new"] += 1
        stats[source] = dict(count)
    return pairs, stats


def main() -> None:
    """Make the text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--debs", type=Path, default=Path("debs"))
    parser.add_argument("--most-words", type=int, default=25)
    parser.add_argument("--held-out", type=int, default=1000, help="pairs of valid, and of test")
    parser.add_argument("--nearest", type=float, default=0.6, help="in (0, 1]: nearer training pairs are dropped")
    options = parser.parse_args()
    options.debs.mkdir(parents=True, exist_ok=True)
    missing = [name for name in PACKAGES if not list(options.debs.glob(f"{name}_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "download", *missing], cwd=options.debs, check=True)
    deb = {name: sorted(options.debs.glob(f"{name}_*.deb"))[-1] for name in PACKAGES}
    sources = {
        "libreoffice-help": libreoffice_help(deb[PACKAGES[0]], deb[PACKAGES[1]]),
        "libreoffice-l10n": catalogues(deb[PACKAGES[2]]),
        "gnome-user-docs": mallard(deb[PACKAGES[3]]),
    }
    pairs, counts = clean_pairs(sources, options.most_words)
    stats: dict[str, Any] = {"packages": {name: path.name for name, path in deb.items()}, "sources": counts}
    # by a hash of the German letters: as random as shuffling, and the same tomorrow
    ordered = sorted(pairs, key=lambda key: hashlib.sha256(key.encode()).digest())
    held_out, rest = ordered[: 2 * options.held_out], ordered[2 * options.held_out :]
    dropped: set[int] = set()
    for side in (0, 1):
        dropped |= near([pairs[key][side] for key in rest], [pairs[key][side] for key in held_out], options.nearest)
    stats["training pairs dropped as near to held-out ones"] = len(dropped)
    parts = {
        "test": held_out[: options.held_out],
        "valid": held_out[options.held_out :],
        "train": [key for index, key in enumerate(rest) if index not in dropped],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for part, keys in parts.items():
        mean, size = {}, 0
        for side, language in enumerate(("de", "en")):
            own = [pairs[key][side] for key in keys]
            size += (options.out / f"{part}.{language}").write_bytes("".join(f"{text}\n" for text in own).encode())
            mean[language] = round(sum(len(text.split()) for text in own) / len(keys), 2)
        by_source = dict(collections.Counter(pairs[key][2] for key in keys))
        stats[part] = {"pairs": len(keys), "mean words": mean, "bytes": size, "by source": by_source}
    told = json.dumps(stats, indent=1, ensure_ascii=False)
    (options.out / "stats.json").write_text(f"{told}\n", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
