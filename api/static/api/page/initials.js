// Names found by the initial consonants of their syllables, in a list that is here already; as the server finds them
// (api/initials.py), which a test compares.

// Consonants of the keyboard in the order of the syllables that begin with them.
const CONSONANTS = String.fromCharCode(
  0x3131, 0x3132, 0x3134, 0x3137, 0x3138, 0x3139, 0x3141, 0x3142, 0x3143, 0x3145, 0x3146, 0x3147, 0x3148, 0x3149, 0x314a, 0x314b, 0x314c, 0x314d, 0x314e,
);
const FIRST = 0xac00, EACH = 588;

// Whether a text has a word in it; consonants stand for the syllables that begin with them, capitals for small letters.
export function finder(word) {
  const pattern = new RegExp([...word.toUpperCase()].map(part).join(""));
  return (text) => pattern.test(text.toUpperCase());
}

function part(letter) {
  const at = CONSONANTS.indexOf(letter);
  if (at < 0) return letter.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const [first, last] = [0, EACH - 1].map((more) => String.fromCharCode(FIRST + EACH * at + more));
  return `[${letter}${first}-${last}]`;
}
