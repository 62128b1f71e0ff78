"""The heads of a neural Turing machine: where in a memory to look, what to read, what to erase and add.

Functions of nodes, to be used in a step of ``chainrule.loop`` or by themselves. M is (m, N, d): N places of d numbers
for each example; a weighting w is (m, N), positive and summing to one. Source of all of them: Graves, Wayne and
Danihelka, Neural Turing machines, 2014, section 3.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node
from chainrule.nn.layer import as_float
from chainrule.ops import concatenate, einsum, log, reshape, softmax, sqrt
from chainrule.ops import sum as sum_

TINY = 1e-8


def content_weights(memory: Any, key: Any, strength: Any) -> Node:
    """w = softmax(β K(k, M)), K(k, M_i) = k · M_i/(|k| |M_i|): places by how well they fit a key.

    Args:
        memory: M, (m, N, d).
        key: k, (m, d).
        strength: β ≥ 0, (m, 1): how sharply.
    """
    memory, key = as_float(memory), as_float(key)
    if memory.ndim != 3 or key.shape != (memory.shape[0], memory.shape[2]):
        raise ShapeError(
            "a key is compared with every place of the memory",
            given=f"memory {show(memory.shape)}, key {show(key.shape)}",
            expected="memory (m, N, d), key (m, d)",
        )
    fit = einsum("mnd,md->mn", memory, key)
    lengths = sqrt(sum_(memory**2, -1) * sum_(key**2, -1, keepdims=True) + TINY**2)
    return softmax(as_float(strength) * (fit / lengths))


def interpolation_gate(g: Any, content: Any, before: Any) -> Node:
    """g ∘ w_content + (1 − g) ∘ w_before: where the content says, or where it has been; g (m, 1)."""
    g = as_float(g)
    out: Node = g * as_float(content) + (1 - g) * as_float(before)
    return out


def circular_shift(weights: Any, shifts: Any) -> Node:
    """w̃_i = Σ_j w_j s_{i − j}: every weight moves on by −k … k places, with the probabilities s.

    Args:
        weights: w, (m, N).
        shifts: s, (m, 2k + 1), for the steps −k … k, summing to one.
    """
    w, s = as_float(weights), as_float(shifts)
    places, steps = w.shape[-1], s.shape[-1]
    if not isinstance(places, int) or not isinstance(steps, int) or steps % 2 == 0 or steps > places:
        raise ShapeError(
            "shifts go equally far to both sides, and not around the memory",
            given=f"weights {show(w.shape)}, shifts {show(s.shape)}",
            expected="an odd number of shifts, at most as many as places",
        )
    total: Node | None = None
    for k in range(steps):
        by = (k - steps // 2) % places
        moved = concatenate([w[..., places - by :], w[..., : places - by]], axis=w.ndim - 1) if by else w
        term = s[..., k : k + 1] * moved
        total = term if total is None else total + term
    assert total is not None
    return total


def sharpen(weights: Any, gamma: Any) -> Node:
    """w_i^γ/Σ_j w_j^γ, γ ≥ 1, (m, 1): against the blur that shifts leave."""
    return softmax(as_float(gamma) * log(as_float(weights) + TINY))


def memory_address(
    memory: Any, before: Any, *, key: Any, strength: Any, gate: Any, shifts: Any, sharpness: Any
) -> Node:
    """The weighting of a head: by content, or where it was, then moved on, then sharpened.

    Args:
        memory: M, (m, N, d), and ``before``, w of the step before, (m, N).
        key: k, (m, d).
        strength: β ≥ 0, (m, 1).
        gate: g in [0, 1], (m, 1): the share of the content.
        shifts: s, (m, 2k + 1), summing to one.
        sharpness: γ ≥ 1, (m, 1).
    """
    content = content_weights(memory, key, strength)
    return sharpen(circular_shift(interpolation_gate(gate, content, before), shifts), sharpness).named("w")


def memory_read(memory: Any, weights: Any) -> Node:
    """r = Σ_i w_i M_i, (m, d)."""
    return einsum("mn,mnd->md", as_float(weights), as_float(memory))


def memory_write(memory: Any, weights: Any, erase: Any, add: Any) -> Node:
    """M_i ← M_i ∘ (1 − w_i e) + w_i a: what is erased, e in [0, 1]^d, and what is added, a; (m, d) both."""
    memory, w = as_float(memory), as_float(weights)
    w = reshape(w, (*w.shape, 1))
    e, a = (reshape(n, (n.shape[0], 1, n.shape[1])) for n in (as_float(erase), as_float(add)))
    out: Node = memory * (1 - w * e) + w * a
    return out
