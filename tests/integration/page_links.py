"""Where the numbers of a page lead, as a person finds them: what lies under the middle of each."""

# Numbers of the page's own part that lead nowhere when they are pressed: [where, what]. What is nothing leads to none;
# what things are called, and what is said of the state of the page, are no numbers.
UNLINKED = r"""() => {
  const leads = "a[href], button, summary, label, [role=button], td[data-grade], tr[data-code]";
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), 4); // texts
  const named = (one) => one.id ? `#${one.id}` : one.tagName === "MAIN" ? "main" : named(one.parentElement);
  const apart = "option, template, .hidden, thead, th[scope=row], dt, [role=status]";
  const shown = (one) => !one.closest(apart) && one.checkVisibility({ visibilityProperty: true });
  while (walker.nextNode()) {
    const text = walker.currentNode, holder = text.parentElement;
    if (!/[1-9]/.test(text.data) || !shown(holder)) continue;
    holder.scrollIntoView({ block: "center", inline: "center" });
    const range = document.createRange();
    range.selectNodeContents(text);
    const { left, top, width, height } = range.getClientRects()[0] ?? { left: 0, top: 0, width: 0, height: 0 };
    const under = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!under?.closest(leads)) found.push([named(holder), text.data.trim()]);
  }
  scrollTo(0, 0);
  return found;
}"""
# Of our own; what is said to be JSON may be.
ADDRESSES = """links => [...new Set(links.filter((one) =>
  one.textContent !== "JSON" && one.origin === location.origin && !one.href.includes("#")).map((one) => one.href))]"""


def unlinked(page, *, but=()):
    """Numbers of the page that lead nowhere, by where they are; not those of the places that are named."""
    found = page.evaluate(UNLINKED)
    return [(place, text) for place, text in found if place not in but]


def unanswered(page):
    """The links of a page that its reader gets no good answer to, and those that are for programs."""
    addresses = page.locator("main a[href]").evaluate_all(ADDRESSES)
    assert addresses
    answers = [(address, page.request.get(address, headers={"Accept": "text/html"}).status) for address in addresses]
    return [one for one in answers if one[1] != 200 or "/v2/" in one[0]]


def listed(page, address):
    """How many rows the page of a list has."""
    return page.request.get(address).text().partition("<tbody>")[2].count("<tr>")
