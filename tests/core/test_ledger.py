"""The chain: whatever is done to it, the first bad entry is named."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.ledger import DONE, FIRST, Change, Entry, Head, Who, canonical, fault_of, hashed

ME = Who("ada", "ada@example.org", "ada", "laptop")
TEXT = st.text(max_size=20)


def chain(whys: list[str]) -> list[Entry]:
    found: list[Entry] = []
    for number, why in enumerate(whys, 1):
        change = Change("churn", number, "promote", "None", "Staging", why)
        previous = found[-1].hash if found else FIRST
        found.append(hashed(Entry(number, f"2026-05-03T14:00:{number:02}.000000Z", DONE, None, ME, change, previous)))
    return found


CHAINS = st.lists(TEXT, min_size=2, max_size=8).map(chain)


@given(CHAINS)
@settings(deadline=None)
def test_a_chain_as_it_was_written_is_whole(entries):
    heads = [Head(entry.sequence, entry.hash, "a run") for entry in entries]
    assert fault_of(entries, heads, None, True) is None


@given(CHAINS)
@settings(deadline=None)
def test_an_entry_comes_back_from_its_row_as_it_was(entries):
    assert [Entry.from_flat(entry.flat()) for entry in entries] == entries


def test_what_is_hashed_is_written_down_and_does_not_change():
    entry = chain(["so"])[0]
    assert canonical(entry) == (
        b'{"account":"ada@example.org","action":"promote","at":"2026-05-03T14:00:01.000000Z","author":"","code":"","data":"",'
        b'"evidence":"","from_stage":"None","gates":"","host":"laptop","intent":null,"manifest":"","person":"ada",'
        b'"phase":"done","previous":"' + b"0" * 64 + b'","replaced":null,"role":"ada","sequence":1,"task":"churn",'
        b'"to_stage":"Staging","version":1,"why":"so"}'
    )
    assert entry.hash == "bab21265d1ea25adc123f8731f5110df713c53e925c9ddd64429f0259b01c49e"


@given(CHAINS, st.data())
@settings(deadline=None)
def test_a_changed_entry_is_named(entries, data):
    place = data.draw(st.integers(0, len(entries) - 1))
    bad = entries[place]
    other = data.draw(
        st.sampled_from([
            replace(bad, at="2020-01-01T00:00:00.000000Z"),
            replace(bad, who=replace(ME, account="eve")),
            replace(bad, change=replace(bad.change, why=bad.change.why + "!")),
            replace(bad, change=replace(bad.change, to_stage="Production")),
            replace(bad, change=replace(bad.change, version=99)),
            replace(bad, hash="f" * 64),
        ])
    )  # fmt: skip
    found = fault_of([*entries[:place], other, *entries[place + 1 :]], [], None, True)
    assert found.sequence == place + 1
    assert found.text.startswith("changed")


@given(CHAINS, st.data())
@settings(deadline=None)
def test_a_removed_entry_is_named(entries, data):
    place = data.draw(st.integers(0, len(entries) - 2))
    found = fault_of(entries[:place] + entries[place + 1 :], [], None, True)
    assert (found.sequence, found.text) == (place + 1, f"removed: the next one that is there is {place + 2}")


@given(CHAINS, st.data())
@settings(deadline=None)
def test_two_entries_that_changed_places_are_named(entries, data):
    one, other = sorted(data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=2, max_size=2, unique=True)))
    swapped = list(entries)
    swapped[one] = replace(entries[other], sequence=one + 1)
    swapped[other] = replace(entries[one], sequence=other + 1)
    found = fault_of(swapped, [], None, True)
    assert (found.sequence, found.text) == (one + 1, f"reordered: it was written as entry {other + 1}")


@given(CHAINS, st.integers(1, 3), st.data())
@settings(deadline=None)
def test_a_tail_that_was_cut_shows_by_the_head_that_a_run_has_seen(entries, cut, data):
    left = entries[: max(len(entries) - cut, 0)]
    head = Head(len(entries), entries[-1].hash, "run 7")
    found = fault_of(left, [head], None, True)
    assert (found.sequence, found.text) == (len(left) + 1, f"cut off: run 7 has seen entry {len(entries)}")
    assert fault_of(left, [], None, True) is None, "without a head outside nobody could tell"


@given(CHAINS)
@settings(deadline=None)
def test_a_tail_that_was_written_anew_shows_by_the_head_that_a_run_has_seen(entries):
    seen = [Head(entry.sequence, entry.hash, f"run {entry.sequence}") for entry in entries]
    anew = chain([entry.change.why + "?" for entry in entries])
    assert fault_of(anew, [], None, True) is None
    assert fault_of(anew, seen, None, True).text == "written anew: run 1 has seen another entry 1"


@given(CHAINS, st.data())
@settings(deadline=None)
def test_an_entry_whose_key_is_not_trusted_is_forged_and_one_without_a_signature_is_unsigned(entries, data):
    place = data.draw(st.integers(0, len(entries) - 1))
    signature = data.draw(st.sampled_from(["", "00"]))
    entries = [replace(entry, key="k", signature="good") for entry in entries]
    entries[place] = replace(entries[place], signature=signature)
    found = fault_of(entries, [], lambda entry: entry.signature == "good", False)
    assert found.sequence == place + 1
    assert found.text.startswith("forged" if signature else "unsigned")


def test_a_ledger_of_ones_own_may_begin_before_its_key_but_goes_on_with_it():
    entries = [replace(entry, signature="good" if place > 1 else "") for place, entry in enumerate(chain(["a"] * 4))]
    assert fault_of(entries, [], lambda entry: entry.signature == "good", True) is None
    entries[3] = replace(entries[3], signature="")
    assert fault_of(entries, [], lambda entry: entry.signature == "good", True).sequence == 4


def test_a_value_that_is_no_text_is_a_change_and_no_crash():
    entries = chain(["a", "b"])
    bad = replace(entries[1], change=replace(entries[1].change, why=b"\0"))
    assert fault_of([entries[0], bad], [], None, True).text == "changed: it holds what is no text"
