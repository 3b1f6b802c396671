"""Who commands the arm: whatever happens in whatever order."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cls_vla_ros.robot.command.authority import HOW_TO_ARM, Authority


class Machine(RuleBasedStateMachine):
    """Against the plainest thing that could be right."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[bool, str]] = []
        self.authority = Authority(lambda commands, why: self.said.append((commands, why)))
        self.wanted = self.granted = False
        self.takers: set[str] = set()

    @rule(armed=st.booleans())
    def want(self, armed):
        self.authority.want(armed)
        self.wanted, self.granted = armed, self.granted and armed

    @rule()
    def grant(self):
        self.authority.grant()
        self.granted = self.wanted

    @rule()
    def revoke(self):
        self.authority.revoke()
        self.granted = False

    @rule(who=st.sampled_from(["a joystick", "the service"]), taken=st.booleans())
    def take_over(self, who, taken):
        self.authority.take_over(who, taken)
        (self.takers.add if taken else self.takers.discard)(who)

    @invariant()
    def it_commands_where_it_may_and_nowhere_else(self):
        may = self.wanted and self.granted and not self.takers
        assert self.authority.commands == may
        assert self.authority.is_pending == (self.wanted and not self.granted)
        assert self.authority.is_taken_over == bool(self.takers)
        assert bool(self.authority.why) != may

    @invariant()
    def each_change_is_said_once(self):
        changes = [commands for commands, _ in self.said]
        assert changes == [i % 2 == 0 for i in range(len(changes))]
        assert (changes[-1] if changes else False) == self.authority.commands


TestMachine = Machine.TestCase


def test_the_reasons_say_what_to_do():
    said = []
    authority = Authority(lambda commands, why: said.append(why))
    assert authority.why == f"not armed: {HOW_TO_ARM}"
    authority.want(True)
    assert "next good observation" in authority.why
    authority.grant()
    authority.take_over("a joystick", True)
    assert authority.why == "taken over by a joystick"
    authority.take_over("a joystick", False)
    authority.want(False, "the elbow is blocked")
    assert authority.why == f"the elbow is blocked: {HOW_TO_ARM}"
    assert said == ["armed", "taken over by a joystick", "armed", authority.why]


@given(st.lists(st.sampled_from(["a", "b"]), max_size=6))
def test_who_takes_twice_gives_back_once(takers):
    authority = Authority(lambda *_: None)
    for who in takers:
        authority.take_over(who, True)
    for who in set(takers):
        authority.take_over(who, False)
    assert not authority.is_taken_over
