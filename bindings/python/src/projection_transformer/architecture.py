"""Heads H and layers L of a transformer that replaces N heads: H^L is at least N."""

from __future__ import annotations

from typing import Any

#: Numbers of heads to try, if they divide the dimension.
_HEADS = (2, 3, 4, 6, 8, 12, 16)

_MAX_LAYERS = 8


def _min_layers(heads: int, capacity: int) -> int:
    layers = 1
    while heads**layers < capacity:
        layers += 1
    return layers


def optimal_architecture(
    n_flat_heads: int, prefer_h: int = 4, embed_dim: int = 768
) -> tuple[int, int]:
    """Returns the heads per layer and the layers for a teacher with `n_flat_heads`: the fewest
    layers, then the smallest capacity H^L, then `prefer_h` heads. The heads divide `embed_dim`."""
    if n_flat_heads <= 1:
        return 1, 1
    candidates = []
    for heads in _dividing(embed_dim) or [prefer_h]:
        layers = _min_layers(heads, n_flat_heads)
        candidates.append((layers, heads**layers, heads != prefer_h, heads))
    layers, _, _, heads = min(candidates)
    return heads, layers


def generate_candidate_architectures(
    n_clusters: int, embed_dim: int = 768, num_suggestions: int = 3
) -> list[dict[str, Any]]:
    """Returns heads and layers to try for a teacher with `n_clusters` heads, of different depths,
    the shallowest first: num_heads, num_layers, `capacity` H^L, the capacity that is not needed
    (`overhead`, `overhead_pct`), and a rough `params_estimate`."""
    by_layers: dict[int, list[dict[str, Any]]] = {}
    for heads in _dividing(embed_dim):
        fewest = _min_layers(heads, n_clusters)
        for layers in range(fewest, min(fewest + 3, _MAX_LAYERS + 1)):
            overhead = heads**layers - n_clusters
            by_layers.setdefault(layers, []).append(
                {
                    "num_heads": heads,
                    "num_layers": layers,
                    "capacity": heads**layers,
                    "overhead": overhead,
                    "overhead_pct": 100.0 * overhead / n_clusters,
                    "params_estimate": (4 * layers + 2) * embed_dim * embed_dim,
                }
            )
    ranked = [
        sorted(by_layers[layers], key=lambda found: found["overhead"]) for layers in sorted(by_layers)
    ]
    # The best of each depth, then the second best.
    chosen = [found[rank] for rank in (0, 1) for found in ranked if rank < len(found)]
    return chosen[:num_suggestions]


def _dividing(embed_dim: int) -> list[int]:
    return [heads for heads in _HEADS if embed_dim % heads == 0]
