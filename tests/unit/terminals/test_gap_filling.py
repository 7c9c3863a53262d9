"""A batch that rotted on the disk leaves as a counted gap with its own number, always the same bytes."""

from terminals import spool as spools
from terminals import wire
from terminals.gap_filling import GapFillingReader


def test_a_rotten_batch_leaves_as_a_gap_between_its_neighbours(tmp_path):
    spool = spools.Spool(tmp_path)
    for captured_us in (100, 200, 300):
        spool.append(wire.encode_rows(1, "krx", captured_us, [{}] * 5))
    size = spool.size
    file = next(tmp_path.glob("*.seg"))
    content = bytearray(file.read_bytes())
    content[40 + (size - 40) // 2] ^= 1
    file.write_bytes(content)
    mended = GapFillingReader(spool, "krx")

    payload = mended.get(2)

    header = wire.parse_header(payload)
    assert (header.seq, header.encoding, header.feed) == (2, wire.Encoding.GAP, "krx")
    assert wire.parse_gaps(payload, header) == [wire.Gap(100, 300, 5, "spool_damaged")]
    assert mended.get(2) == payload
    assert wire.parse_header(mended.get(3)).rows == 5
