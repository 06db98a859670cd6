"""What the ledger tells of one task."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.history import (
    GONE,
    Seen,
    approvals,
    bringer,
    champions,
    differences,
    former,
    is_other_person,
    is_same_person,
    person_of,
    promotion,
    stages,
    unfinished,
    until,
    vacancy,
    withdrawal,
)
from ratchet.core.ledger import DONE, FIRST, INTENDED, VOID, Change, Entry, Who

ME = Who("ratchet_promoter", "ada", "ada", "laptop")
AUTHOR = '{"account": "eve", "person": "eve", "host": "laptop"}'
STAGES = ["None", "Staging", "Production", "Archived"]


def entry(number, version, action="promote", to="Production", phase=DONE, **more):
    change = Change("churn", version, action, "None", to, replaced=more.pop("replaced", None), author=AUTHOR,
                    evidence=more.pop("evidence", ""), manifest=more.pop("manifest", ""))  # fmt: skip
    at = f"2026-05-03T14:{number:02}:00.000000Z"
    return Entry(number, at, phase, more.pop("intent", None), more.pop("who", ME), change, FIRST, **more)


MOVES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(STAGES[1:])), max_size=20)


@given(MOVES)
@settings(deadline=None)
def test_at_any_time_at_most_one_version_is_in_staging_and_one_in_production(moves):
    entries = [entry(number, version, to=to) for number, (version, to) in enumerate(moves)]
    for end in range(len(entries)):
        there = list(stages(entries[: end + 1]).values())
        assert there.count("Staging") <= 1 and there.count("Production") <= 1
        assert stages(entries[: end + 1])[moves[end][0]] == moves[end][1]


@given(MOVES, st.integers(0, 20))
@settings(deadline=None)
def test_what_was_at_a_time_is_what_the_entries_up_to_it_say(moves, minute):
    entries = [entry(number, version, to=to) for number, (version, to) in enumerate(moves)]
    assert until(entries, f"2026-05-03T14:{minute:02}:00.000000Z") == entries[: minute + 1]


def test_an_intent_moves_nothing_and_is_open_until_it_is_done_or_void():
    begun = entry(1, 3, phase=INTENDED)
    assert stages([begun]) == {}
    assert unfinished([begun]) == [begun]
    for end in (DONE, VOID):
        assert unfinished([begun, entry(2, 3, phase=end, intent=1)]) == []
    assert stages([begun, entry(2, 3, phase=VOID, intent=1)]) == {}


def test_a_rollback_leads_to_whom_the_champion_took_the_place_of_when_it_was_promoted():
    entries = [entry(1, 1), entry(2, 2, replaced=1), entry(3, 1, "rollback", replaced=2), entry(4, 3, replaced=1)]
    assert [former(entries[:end], champion) for end, champion in ((1, 1), (2, 2), (3, 1), (4, 3))] == [None, 1, None, 1]
    assert champions(entries) == {1, 2, 3}
    assert bringer(entries, 1, "Production").sequence == 3


def test_production_is_empty_from_a_withdrawal_until_a_version_comes_there():
    entries = [
        entry(1, 1),
        entry(2, 2, replaced=1),
        entry(3, 2, "withdraw", "Archived", INTENDED),
        entry(4, 2, "withdraw", "Archived", intent=3),
        entry(5, 3, to="Staging"),
        entry(6, 3),
    ]
    assert [bool(vacancy(entries[:end])) for end in range(7)] == [False] * 4 + [True, True, False]
    assert vacancy(entries[:5]).sequence == 4
    assert vacancy(entries[:3], count_begun=True).sequence == 3, "the registry shows that it has left already"
    void = entry(4, 2, "withdraw", "Archived", VOID, intent=3)
    assert vacancy([*entries[:3], void], count_begun=True) is None
    assert stages(entries[:4]) == {1: "Archived", 2: "Archived"}
    adopted = [entry(1, 1), entry(2, 1, "adopt", "Archived")]
    assert vacancy(adopted).sequence == 2


def test_a_version_counts_as_withdrawn_until_it_comes_to_production_again():
    entries = [entry(1, 1), entry(2, 1, "withdraw", "Archived"), entry(3, 2), entry(4, 1, "rollback", replaced=2)]
    assert [bool(withdrawal(entries[:end], 1)) for end in range(5)] == [False, False, True, True, False]
    assert withdrawal(entries, 2) is None


# ---------------------------------------------------------------- reviews


def word(number, action, by, evidence="seen", version=7, to="Production"):
    return entry(number, version, action, to, evidence=evidence, who=replace(ME, account=by))


def test_the_last_word_of_each_reviewer_counts():
    words = [word(1, "approve", "ada"), word(2, "refuse", "ada"), word(3, "refuse", "bob"), word(4, "approve", "bob")]
    found = approvals(words, 7, "Production", "seen")
    assert (found.by, found.refused_by, found.expired) == (("bob",), ("ada",), ())


def test_an_approval_expires_with_what_it_saw_but_a_refusal_holds_until_it_is_lifted():
    words = [word(1, "approve", "ada", "old"), word(2, "refuse", "bob", "old")]
    found = approvals(words, 7, "Production", "seen")
    assert (found.by, found.refused_by, found.expired) == ((), ("bob",), ("ada",))


def test_an_approval_by_who_trained_it_does_not_count():
    assert approvals([word(1, "approve", "eve")], 7, "Production", "seen").by == ()


def test_nobody_who_is_not_verified_is_a_second_person_unless_the_task_trusts_the_machine():
    local = replace(ME, role="embedded", account="")
    words = [entry(1, 7, "approve", evidence="seen", who=replace(local, person=name)) for name in ("anna", "bob")]
    found = approvals(words, 7, "Production", "seen")
    assert (found.by, found.unverified) == ((), ("anna", "bob"))
    found = approvals(words, 7, "Production", "seen", trust="local")
    assert (found.by, found.unverified) == (("anna", "bob"), ())


def test_one_person_by_account_and_by_role_counts_once():
    both, role_alone = replace(ME, role="ada_role"), replace(ME, role="ada_role", account="")
    words = [entry(n, 7, "approve", evidence="seen", who=who) for n, who in enumerate((both, role_alone))]
    author = replace(words[0].change, author='{"role": "eve_role", "account": "eve", "person": "e", "host": "h"}')
    found = approvals([replace(each, change=author) for each in words], 7, "Production", "seen")
    assert len(found.by) == 1


def test_the_refusal_of_somebody_verified_is_not_lifted_by_a_namesake_of_the_machine():
    refused = word(1, "refuse", "carol")
    namesake = entry(2, 7, "approve", evidence="seen", who=replace(ME, account="", person="carol"))
    assert approvals([refused, namesake], 7, "Production", "seen", trust="local").refused_by == ("carol",)


def test_where_nobody_knows_who_trained_it_no_approval_counts():
    words = [replace(each, change=replace(each.change, author="")) for each in [word(1, "approve", "ada")]]
    assert approvals(words, 7, "Production", "seen").by == ()
    assert person_of("") is person_of("nonsense") is None


def test_words_on_another_version_or_stage_do_not_count():
    words = [word(1, "approve", "ada", version=6), word(2, "approve", "bob", to="Staging")]
    assert approvals(words, 7, "Production", "seen").by == ()


SHARED = replace(ME, account="")  # known by user and host alone: many share the role
OWN_ROLE = replace(SHARED, role="ada_role")


@pytest.mark.parametrize(
    ("one", "other", "are_two", "are_two_locally"),
    [
        (ME, replace(ME, person="root", host="server"), False, False),
        (ME, replace(ME, account="bob"), True, True),
        (OWN_ROLE, replace(OWN_ROLE, role="bob_role"), True, True),
        (OWN_ROLE, replace(OWN_ROLE, person="bob"), False, False),
        (replace(OWN_ROLE, account="ada"), replace(OWN_ROLE, account="bob"), False, False),  # one role, two accounts
        (ME, SHARED, False, False),
        (ME, replace(SHARED, person="bob"), False, True),
        (ME, replace(OWN_ROLE, host="server"), False, True),
        (SHARED, replace(SHARED, role="ratchet_scientist"), False, False),
        (SHARED, replace(SHARED, person="bob"), False, True),
    ],
)
def test_people_are_told_apart_by_accounts_and_roles_of_their_own_and_by_the_machine_where_it_is_trusted(
    one, other, are_two, are_two_locally
):
    for first, second in ((one, other), (other, one)):
        assert is_other_person(first, second) == are_two
        assert is_other_person(first, second, "local") == are_two_locally
        assert not (is_same_person(first, second) and is_other_person(first, second))


def test_the_gates_of_a_champion_that_came_back_are_those_of_its_last_promotion():
    entries = [entry(1, 1), entry(2, 2, replaced=1), entry(3, 1, "rollback", replaced=2), entry(4, 3, "adopt")]
    assert [promotion(entries, number) for number in (1, 2, 3)] == [entries[0], entries[1], None]


# ---------------------------------------------------------------- past the ledger

IN_PRODUCTION = Seen("Production", ("champion",), "m")
LEDGER = [entry(1, 1, manifest="m")]


@pytest.mark.parametrize(
    ("seen", "text", "revertible"),
    [
        ({1: Seen("Archived", (), "m")}, "version 1 is in Archived; the ledger has it in Production", True),
        ({1: Seen("Production", (), "m")}, "version 1 in Production bears no alias", True),
        ({1: IN_PRODUCTION, 2: Seen("Staging", (), "")}, "version 2 is in Staging; the ledger has it in None", True),
        ({1: IN_PRODUCTION, 2: Seen("None", ("challenger",), "")}, "version 2 in None bears challenger", True),
        ({}, "version 1 was deleted; it was in Production", False),
        ({1: replace(IN_PRODUCTION, manifest="n")},
         "version 1 was registered anew: its model is not the one that was judged", False),
    ],
)  # fmt: skip
def test_what_was_changed_past_the_ledger_is_named(seen, text, revertible):
    (found,) = differences(LEDGER, seen)
    assert (found.text, found.is_revertible) == (text, revertible)


def test_a_registry_as_the_ledger_says_shows_nothing_and_nor_do_aliases_of_ones_own():
    assert differences(LEDGER, {1: IN_PRODUCTION, 2: Seen("None", ("shadow",), "x")}) == []


def test_a_version_whose_deletion_was_adopted_is_no_longer_missed_and_is_told_if_it_is_there_again():
    entries = [*LEDGER, entry(2, 1, "adopt", GONE)]
    assert differences(entries, {}) == []
    assert differences(entries, {1: IN_PRODUCTION})[0].text == "version 1 is there again; it was deleted"
