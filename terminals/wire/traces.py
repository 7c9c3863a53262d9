"""The one id by which a batch is known on both sides, in logs and traces, from the terminal to the feed."""


def trace_id(epoch: str, seq: int) -> str:
    """32 hexadecimal digits: the spool's epoch (16), then the batch's number in it (16). Nobody has to hand it on, for
    both sides know its two halves; it is a trace id as W3C's Trace Context has it, and a grep for an epoch alone finds
    all batches of a spool."""
    return f"{epoch}{seq:016x}"
