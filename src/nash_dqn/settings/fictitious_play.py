"""How fictitious play with DDPG best responses, Algorithm 2, is trained."""

from __future__ import annotations

from typing import Literal

from nash_dqn.settings.fields import Layers, Number, Settings, Whole, knob, settings
from nash_dqn.settings.game import ObservationSpec


@settings
class EpsilonGreedy(Settings):
    """Exploration of the agent that learns, at single steps, epsilon linear within each best response.

    With its probability an agent leaves its actor, anew at every step, for the rate z - q, z ~ N(0, target_sd^2) and q
    its inventory: a rate, not the way to z in what time is left.
    """

    start: Number = knob(
        "Probability at the first epoch of a best response with which a step's action is not the actor's but leads "
        "towards a random target (nash_dqn.games.base.Game.excursion)",
        "probability",
        ge=0,
        le=1,
    )
    end: Number = knob("What it falls to, linearly, as the best response ends", "probability", ge=0, le=1)
    target_sd: Number | None = knob(
        "Standard deviation of the target about zero; null = the game's own, here of initial inventories",
        "shares",
        default=None,
        gt=0,
    )

    def at(self, fraction: float) -> float:
        """Value after a fraction in [0, 1] of a best response."""
        return self.start + (self.end - self.start) * fraction


@settings
class FictitiousPlayRecipe(Settings):
    """Settings of Algorithm 2."""

    observation: ObservationSpec = knob("What agents see")
    actor_hidden: Layers = knob("Hidden layers of the actor u(x)", "units", min_length=1)
    critic_hidden: Layers = knob("Hidden layers of the critic Q(x, u)", "units", min_length=1)
    phi_hidden: Layers = knob(
        "Hidden layers of the DeepSets network phi, (16), of actor and critic, for visible inventories; [] = no phi",
        "units",
    )
    iterations: Whole = knob("Best responses B, computed one after the other", "iterations", ge=1)
    first_epochs: Whole = knob(
        "DDPG epochs of the first best response, against agents that do not trade", "epochs", ge=1
    )
    epochs: Whole = knob(
        "DDPG epochs of each later best response, which begins with the networks that the last one returned",
        "epochs",
        ge=1,
    )
    episodes_per_epoch: Whole = knob("Fresh episodes played per epoch, used once", "episodes", ge=1)
    learning_rate: Number = knob("AdamW's constant learning rate", "1", gt=0)
    weight_decay: Number = knob("AdamW's decoupled weight decay", "1", ge=0)
    target_rate: Number = knob(
        "Share tau of the new weights in each update of the target networks, after each epoch", "1", gt=0, le=1
    )
    exploration: EpsilonGreedy
    action_bound: Number = knob("Actions that are played are clipped to plus or minus this", "shares/hour", gt=0)
    opponents: Literal["last", "average"] = knob(
        "The others play the last best response (algorithm, released code), or in each episode one of all past ones, "
        "drawn uniformly, the no-trade start among them (average; text)"
    )
    action_scale: Number | None = knob(
        "What the actor's output is multiplied by and the critic's input divided by; null = the game's own",
        "shares/hour",
        default=None,
        gt=0,
    )
    returned: Literal["target", "online"] = knob(
        "The actor that a best response returns and the others then play, the target network or the online one",
        default="target",
    )
    optimisers: Literal["renewed", "kept"] = knob(
        "A later best response begins with renewed optimisers or with those kept from the last one", default="renewed"
    )
    gradient_clip: Number | None = knob("Largest gradient norm; null = no clipping", "1", default=None, gt=0)
    largest_loss: Number | None = knob(
        "A member whose mean critic loss exceeds this, or is not finite, is stopped as diverged; null = no limit",
        "$^2",
        default=None,
        gt=0,
    )
    history_every: Whole = knob("Epochs per row of history.csv; at most first_epochs", "epochs", default=100, ge=1)

    @property
    def total_epochs(self) -> int:
        """Epochs of all best responses."""
        return self.first_epochs + (self.iterations - 1) * self.epochs

    def position(self, done: int) -> tuple[int, int]:
        """The best response, and the epoch in it, that follow ``done`` epochs; both count from 0."""
        if done < self.first_epochs:
            return 0, done
        responses, epoch = divmod(done - self.first_epochs, self.epochs)
        return 1 + responses, epoch
