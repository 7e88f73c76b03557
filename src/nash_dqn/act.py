"""What a trained policy does in a state that is given in plain units: hours, $ and shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nash_dqn import config as configuration
from nash_dqn import show
from nash_dqn.advantage import unpack
from nash_dqn.artifacts import ArtifactError, remake
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market, MarketState
from nash_dqn.networks import ActionMap, ObservationNetwork
from nash_dqn.policy import Weights, as_written, read_weights
from nash_dqn.settings.study import MARKET
from nash_dqn.summary import find_weights, read_run

__all__ = ["render", "summarise"]


def summarise(
    policy: str | Path,
    time: float,
    price: float,
    inventory: float,
    impact: float = 0.0,
    order_flow: float | None = None,
    own_flow: float | None = None,
    others_inventory: list[float] | None = None,
    others_flow: list[float] | None = None,
    seed: int | None = None,
    config: str | Path | None = None,
    scenario: str | None = None,
) -> dict[str, Any]:
    """Actions of a policy's members in a state, and the parameters of Nash-DQN's advantage function there.

    Args:
        policy: file of weights or snapshots, or a training's folder.
        time: hours since the start; one of the market's decision points.
        price: S, $.
        inventory: own inventory, shares.
        impact: Y, $.
        order_flow: what all agents bought so far, net, shares; None: what the flows given come to, otherwise 0.
        own_flow: of these, the agent's own; needed where the policy's view depends on it.
        others_inventory: the others' inventories, shares; needed where they are visible.
        others_flow: what each of them bought so far, shares; needed where it is visible.
        seed: only its members; None for all.
        config: configuration whose market is taken; None for that of ``run.json`` beside the weights.
        scenario: its name in ``config``; None for the one the policy was trained in.

    Returns:
        ``path``, ``policy``, ``algorithm``, ``scenario``, ``state`` and, under ``members``, for each its ``seed``, how
        its training ``ended`` (None where no record tells), the ``action`` in shares/hour and, of Nash-DQN's weights,
        ``advantage``: ``mu`` in shares/hour, ``P11``, ``P12`` and ``P22`` in $ per (shares/hour)^2, ``psi`` in $ per
        share/hour; ``P11`` where a record tells how it is made of the network's output. Members of a file of snapshots
        have ``transitions``, too. ``advantage_needs`` says what is missing where the advantage function sees more than
        the policy and cannot be given.

    Raises:
        ArtifactError: a file is missing, damaged or of another training.
        ConfigError: the configuration cannot be read or has no such scenario.
        ValueError: the state is not one of this market, lacks what the policy sees, or is so far out that its numbers
            overflow.
    """
    path = find_weights(policy)
    weights = read_weights(path)
    with as_written(path, "a policy"):
        loaded = weights.policy
    beside = read_run(path, weights)
    record = beside if config is None else None
    if not weights.is_of_market(record):
        raise ArtifactError(f"{path}: of another game than the market, which alone act is for; give a policy of it")
    name, game = _market(path, weights, record, config, scenario)
    _check_fit(path, loaded.network, loaded.observation, name, game)
    chosen = [k for k, own in enumerate(weights.seeds) if seed in (None, own)]
    if not chosen:
        known = ", ".join(map(str, dict.fromkeys(weights.seeds)))
        raise ValueError(f"--seed: got {seed}, expected one of {path}: {known}")
    step = _step(game, time)
    given = {
        **{"time": step * game.dt, "step": step, "price": price, "impact": impact, "inventory": inventory},
        **{"order_flow": order_flow, "own_flow": own_flow},
        **{"others_inventory": others_inventory, "others_flow": others_flow},
    }
    missing = _missing(game, loaded.observation, given)
    if missing is not None:
        raise ValueError(missing)
    state, given["order_flow"] = _state(game, given)
    first = slice(0, 1)
    actions = loaded(_observe(game, state, loaded.observation, weights), first).reshape(-1).tolist()
    parameters: dict[str, list[float]] = {}
    spec = _seen_by_advantage(weights, beside)
    unknown = None if spec is None else _missing(game, spec, given)
    if beside is not None and spec is not None and unknown is None:
        network, form = weights.networks["advantage"], beside["config"]["recipe"].get("p11")
        _check_fit(path, network, spec, name, game)
        found = unpack(network(_observe(game, state, spec, weights), first), Market.action_dim, form or "cholesky")
        names = {"mu": "mu", "p11": "P11", "p12": "P12", "p22": "P22", "psi": "psi"}
        parameters = {names[key]: tensor.reshape(-1).tolist() for key, tensor in found._asdict().items()}
        if form is None:
            del parameters["P11"]
    finite = [all(math.isfinite(values[k]) for values in (actions, *parameters.values())) for k in chosen]
    if any(weights.finite[k] and not whole for k, whole in zip(chosen, finite, strict=True)):
        raise ValueError(_too_far(given))
    times = weights.meta.get("transitions")  # a snapshot was taken before the end
    ends = {member["seed"]: member["stopped"] for member in record["members"]} if record and times is None else {}
    members = [
        {
            **{"seed": weights.seeds[k], "ended": ends.get(weights.seeds[k])},
            **({} if times is None else {"transitions": times[k]}),
            "action": actions[k],
            **({"advantage": {key: values[k] for key, values in parameters.items()}} if parameters else {}),
        }
        for k in chosen
    ]
    head = {"path": str(path), "policy": loaded.meta.get("policy"), "algorithm": loaded.algorithm}
    return {**head, "scenario": name, "state": given, "advantage_needs": unknown, "members": members}


def render(summary: dict[str, Any]) -> str:
    """The answer as text."""
    title = {"path": summary["path"], "kind": "{policy} ({algorithm}) in {scenario}".format(**summary)}
    state = {name: value for name, value in summary["state"].items() if value is not None}
    missing = summary["advantage_needs"]
    note = {} if missing is None else {"note": f"The advantage function sees more. {missing}"}
    return show.render({**title, "state": state, "members": summary["members"], **note})


def _market(
    path: Path, weights: Weights, record: dict[str, Any] | None, config: str | Path | None, scenario: str | None
) -> tuple[str, Market]:
    """Name and market."""
    if config is None:
        if scenario is not None:
            raise ValueError(f"--scenario: got {scenario!r} without --config, expected both or neither")
        if record is None:
            wrong = f"no run.json beside {path} tells its market"
            raise ValueError(f"--config: missing, expected a configuration (config/config.yaml), as {wrong}")
        name, source, settings = str(record["scenario"]), str(path.with_name("run.json")), record["config"]["game"]
    else:
        source, content = str(config), configuration.load_yaml(config)
        trained_in = weights.meta.get("scenario") if scenario is None else scenario
        if not isinstance(content.get("scenarios"), dict):
            raise ValueError(f"{config}: scenarios: missing, expected a mapping from names to markets")
        if trained_in is None:
            known = ", ".join(map(str, content["scenarios"]))
            raise ValueError(f"--scenario: missing, expected one of {known}, as {path} does not say")
        name, settings = str(trained_in), configuration.scenario(content, str(trained_in))
        game = settings.pop("game", MARKET)  # its class
        if game != MARKET:
            raise ValueError(f"--scenario: got {name!r}, which is of {game}, expected a market")
    try:
        return name, Market(**settings)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{source}: market {name}: {error}; correct it") from None


def _check_fit(path: Path, network: ActionMap, spec: ObservationSpec, name: str, game: Market) -> None:
    """The network takes what the market shows, at each of its decision points."""
    assert isinstance(network, ObservationNetwork)  # there are no groups of agents in the market
    own, item = game.observation_size(spec)
    takes = network.sigma.weights[0].shape[1] - (network.phi[0].weights[-1].shape[2] if network.phi else item)
    if takes != own or (network.phi and network.phi[0].weights[0].shape[1] != item):
        wrong = f"its network does not take the {own} own and {item} shared features it says it sees"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}")
    for tensor in (network.skip, network.basis):
        if tensor is not None and tensor.shape[1] != game.n_steps:
            allowed = f"a market of {tensor.shape[1]} decision points, as the policy was trained for"
            raise ValueError(f"--scenario: got {name!r} of {game.n_steps}, expected {allowed}")


def _step(game: Market, time: float) -> int:
    """The decision point at that time."""
    step = round(time / game.dt) if math.isfinite(time / game.dt) else -1
    if not 0 <= step < game.n_steps or abs(time - step * game.dt) > 1e-6 * game.dt:
        points = f"one of {', '.join(f'{m * game.dt:g}' for m in range(game.n_steps))} hours"
        if game.n_steps > 24:
            points = f"a multiple of {game.dt:g} from 0 to {game.horizon - game.dt:g} hours"
        raise ValueError(f"--time: got {time:g}, expected a decision point, {points}")
    return step


def _missing(game: Market, spec: ObservationSpec, given: Mapping[str, Any]) -> str | None:
    """What the view needs and was not given; None if nothing. Before step 0 nothing has been traded."""
    others, traded = game.n_agents - 1, given["step"] > 0
    visible = spec.inventories == "visible" and others > 0
    numbers = f"expected {others} numbers, one for each other agent, as it sees"
    if visible and given["others_inventory"] is None:
        return f"--others-inventory: missing, {numbers} inventories"
    if traded and visible and spec.own_flow and given["others_flow"] is None:
        return f"--others-flow: missing, {numbers} past flows"
    if traded and given["own_flow"] is None and (spec.own_flow or (spec.order_flow == "others_mean" and others > 0)):
        seen = "own past flow" if spec.own_flow else "the others' order flow, which is the total less its own"
        return f"--own-flow: missing, expected a number, as it sees {seen}"
    return None


def _state(game: Market, given: Mapping[str, Any]) -> tuple[MarketState, float]:
    """The state with the agent first, in double precision, and what all agents bought so far."""
    others = game.n_agents - 1
    for name in ("others_inventory", "others_flow"):
        if given[name] is not None and len(given[name]) != others:
            wrong = f"got {len(given[name])} numbers, expected {others}, one for each other agent"
            raise ValueError(f"{_option(name)}: {wrong}")
    total, own, of_others = (given[name] for name in ("order_flow", "own_flow", "others_flow"))
    if others == 0:
        own, of_others = total if own is None else own, []
    own = own or 0.0
    if of_others is None:  # how it is spread over the others is not seen
        total = total or 0.0
        of_others = [(total - own) / others] * others
    else:
        sum_of_all = own + sum(of_others)
        if total is not None and abs(total - sum_of_all) > 1e-6 * max(1.0, abs(sum_of_all)):
            raise ValueError(f"--order-flow: got {total:g}, expected {sum_of_all:g}, what the agents' flows come to")
        total = sum_of_all
    held = torch.tensor([given["inventory"], *(given["others_inventory"] or [0.0] * others)], dtype=torch.float64)
    bought = torch.tensor([own, *of_others], dtype=torch.float64)
    s, y = (torch.tensor(given[name], dtype=torch.float64) for name in ("price", "impact"))
    return MarketState(given["step"], s, y, held, held - bought), total


def _too_far(given: Mapping[str, Any]) -> str:
    """The number of a state that finite weights make none of: one that is none itself, or the largest."""
    of_option = {name: values if isinstance(values, list) else [values] for name, values in given.items()}
    named = [(name, value) for name, values in of_option.items() for value in values if value is not None]
    name, value = max(named, key=lambda pair: abs(pair[1]) if math.isfinite(pair[1]) else math.inf)
    return f"{_option(name)}: got {value:g}, expected a number from which the policy's do not overflow"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _observe(game: Market, state: MarketState, spec: ObservationSpec, weights: Weights) -> Observation:
    """What the agents see, for each of K members, in the precision of their weights."""
    tensor = next(iter(weights.tensors.values()))
    return game.observe(state, spec).map(lambda leaf: leaf.to(tensor.dtype).expand(len(tensor), 1, *leaf.shape))


def _seen_by_advantage(weights: Weights, record: dict[str, Any] | None) -> ObservationSpec | None:
    """What the advantage function sees; None where there is none, or no record tells that and P11's form.

    Beside an actor it sees what the critic does.
    """
    if "advantage" not in weights.networks or record is None:
        return None
    if "actor" not in weights.networks:
        return weights.observation
    critic = record["config"]["recipe"].get("critic")
    return None if critic is None else ObservationSpec(**critic)
