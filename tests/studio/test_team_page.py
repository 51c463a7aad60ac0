"""The page Team: roles, work, agreement, decisions, tokens and accounts are those of the store."""

from types import SimpleNamespace

import pytest
from reviewing import Reviewed
from streamlit.testing.v1 import AppTest

from synthstudio.review import history, leases
from synthstudio.review.team import members
from synthstudio.review.team.accounts import accounts, choose_password
from synthstudio.review.team.members import make_token, tokens
from synthstudio.review.team.second_review import begin_second_reviews, set_share, share_of
from synthstudio.review.team.sessions import PATTERN
from synthstudio.review.team.statistics import agreement, disagreements
from synthstudio.review.values import User
from synthstudio.studio.second_reviews import agreement_words, decision_of, joint_lines, label_words

ADA = User(name="Ada", role="admin")


@pytest.fixture
def team(pages):
    (chosen,) = pages.ctx.sets.values()

    def opened(part="Members", *, user="Ada"):
        app = pages.open("team", user=user)
        app.segmented_control(key="team_part").set_value(part).run()
        assert not app.exception
        return app

    opened.review = Reviewed(store=pages.ctx.store, dataset=chosen.dataset, table=chosen.table)
    return opened


def labels(app):
    return {button.label for button in app.button}


def test_the_first_to_name_somebody_becomes_admin_and_assigns(pages, team):
    review, app = team.review, team()
    assert "No members yet" in pages.words(app)
    pages.field(app, "Name").set_value("<b>x</b>")
    assert "invalid name" in pages.words(pages.press(app, "Set"))
    pages.field(app, "Name").set_value("Rex")
    pages.press(app, "Set")
    assert dict(members.members(review.store)) == {"Ada": "admin", "Rex": "reviewer"}
    pages.field(app, "People").set_value(3)
    assert "21 people to review are unassigned" in pages.words(pages.press(app, "Assign"))
    assert [*members.assigned(review.store, review.table.key).values()] == ["Ada"] * 3
    leases.claim(review.store, [review.person(20), review.person(21)], who=ADA, count=2)
    pages.press(app.run(), "Release all leases")
    assert leases.leases(review.store, review.table.key) == {}
    pages.ctx.forget_roles()
    app = team(user="Rex")  # reviewers see no forms of leads
    assert "people to review" in pages.words(app).replace("**", "")
    assert not {"Set", "Assign"} & labels(app)
    assert "Only leads decide" in pages.words(team("Decide", user="Rex"))


@pytest.fixture
def looked_twice(pages, team):
    """Two reviewers look at four people: they differ in one wrist, and once in the verdict."""
    review = team.review
    users = review.team(Ada="admin", Rex="reviewer", Una="reviewer")
    pages.ctx.forget_roles()
    set_share(review.store, review.table.key, "second_share", 1.0, by=users["Ada"])
    for row in range(4):
        review.decide(users["Rex"], review.person(row))
    people = begin_second_reviews(review.store, review.table, who=users["Una"], count=4, share=1.0)
    for person in people:
        if person == min(people, key=lambda p: (p.frame, p.instance)):
            review.move(users["Una"], person, "left_wrist", 40.0)
        review.decide(users["Una"], person, "rejected" if person == people[-1] else "approved")
    return review


def test_agreement_and_share_are_those_of_the_store(pages, team, looked_twice):
    found, key = agreement(looked_twice.store, looked_twice.table), looked_twice.table.key
    app = team("Second review")
    assert found.people == 4 and agreement_words(found) in [one.value for one in app.markdown]
    assert len(app.get("plotly_chart")) == 2
    spread = {line["joint"]: line["spread, sigmas"] for line in joint_lines(found)}
    assert spread.pop("left wrist") and not any(spread.values())
    pages.field(app, "Reviewed twice, %").set_value(50).run()
    assert share_of(looked_twice.store, key, "second_share") == 0.5
    assert "12 people (50%) are reviewed twice" in pages.words(app).replace("**", "")


def test_a_lead_takes_one_joint_of_the_second_look(pages, team, looked_twice):
    review = looked_twice
    open_ones = disagreements(review.store, review.table)
    place = next(k for k, one in enumerate(open_ones) if one.joints)
    one = open_ones[place]
    wanted = one.pair.second.joints["left_wrist"]
    app = team("Decide")
    for _ in range(place):
        pages.press(app, "Next")
    said = pages.words(app)
    person = one.pair.first.person
    assert f"Frame {person.frame}, person {person.instance}" in said
    assert f"B: {label_words(wanted)}" in said
    next(radio for radio in app.radio if "left wrist" in radio.label).set_value("B")
    pages.field(app, "Reason").set_value("B saw it")
    pages.press(app, "Decide")
    assert len(disagreements(review.store, review.table)) == len(open_ones) - 1
    now = history.state(review.store, person)
    label = now.joints["left_wrist"]
    assert (label.x_px, label.state) == (wanted.x_px, wanted.state)
    assert (now.status, now.reason, now.who) == ("approved", "B saw it", "Ada")
    base = review.frames.base_of(person)
    gone = decision_of(one, base, {"left_wrist": "B"}, status="deleted", text="a poster")
    assert gone.deleted and not gone.joints


def test_everybody_has_their_own_tokens_and_admins_all(pages, team):
    store = pages.ctx.store
    for name, role in (("Ada", "admin"), ("Rex", "reviewer")):
        members.set_role(store, name, role, by=ADA)
    make_token(store, "Ada", role="admin", by=ADA, label="of Ada")
    pages.ctx.forget_roles()
    app = team("Tokens", user="Rex")
    assert "Of" not in [one.label for one in app.text_input] and not app.dataframe  # nobody else's
    pages.field(app, "Purpose").set_value("of Rex")
    pages.press(app, "Make")
    (mine,) = tokens(store, who="Rex")
    assert (mine.role, mine.by, mine.label) == ("reviewer", "Rex", "of Rex")
    pages.press(app.run(), "Revoke")  # the only one in the list
    assert tokens(store, who="Rex")[0].revoked and not tokens(store, who="Ada")[0].revoked
    pages.ctx.keys.drop("b")  # who only says a name sees no token
    app = team("Tokens")
    assert "server's key" in app.info[0].value and "Make" not in labels(app) and not app.dataframe


def accounts_page(ctx, me):
    from synthstudio.studio.credentials import show_accounts

    show_accounts(ctx, me)


def test_leads_invite_and_admins_reset_and_revoke_accounts(pages):
    store = pages.ctx.store
    members.set_role(store, "Ada", "admin", by=ADA)
    settings = SimpleNamespace(admins=(), url="https://studio.example")
    ctx = SimpleNamespace(store=store, settings=settings, check_free=lambda name: None)

    def opened(me):
        return AppTest.from_function(accounts_page, args=(ctx, me), default_timeout=120).run()

    def state():
        return {one.name: one.state for one in accounts(store)}["lea"]

    ada = opened(ADA)
    ada.text_input[0].set_value("lea")
    ada.selectbox[0].set_value("lead")
    link = pages.press(ada, "Invite").code[0].value
    assert link.startswith("https://studio.example/invitation#") and state() == "invited"
    assert not ada.run().code  # shown once
    choose_password(store, PATTERN.findall(link)[0], "seven brown otters")
    lea = opened(User(name="lea", role="lead"))
    assert labels(lea) == {"Invite"}
    for name, why in (("le\u0430", "mixes scripts"), ("Ada", "only an admin invites")):
        lea.text_input[0].set_value(name)
        assert why in pages.press(lea, "Invite").error[0].value
    ada = opened(ADA)
    ada.selectbox[1].set_value("lea")
    assert pages.press(ada, "Reset").code and state() == "reset"
    ada.selectbox[2].set_value("lea")
    pages.press(ada, "Revoke")
    assert state() == "revoked"
