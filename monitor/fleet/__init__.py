"""Many monitors in one service: whose turn it is, and the child processes that take the turns and can be stopped."""

from __future__ import annotations

from monitor.fleet.conductor import Conductor
from monitor.fleet.turn import Turn, take_turn
from monitor.fleet.turns import Turns

__all__ = ["Conductor", "Turn", "Turns", "take_turn"]
