"""The class that callers know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from unifyweaver_projection import (
    InvalidArgumentError,
    InvalidModelError,
    Model,
    _call,
)

if TYPE_CHECKING:
    from unifyweaver_projection._arrays import ArrayLike, Floats
    from unifyweaver_projection._call import StrPath


class ProjectionTransformer:
    """A small transformer that does what a projection does, distilled from it.

    Any number of threads may use it at once. It is opened by :meth:`load`, or made with its
    sizes and trained by :func:`train_distillation`; nothing else changes it.
    """

    #: Dimension of queries and of projected queries.
    embed_dim: int
    #: Attention heads of a layer.
    num_heads: int
    num_layers: int
    #: Width of the layers between.
    ff_dim: int
    #: Of the training; nothing is dropped in use.
    dropout_rate: float
    #: How many heads of a multi-head projection it stands for, as the rule H^L has it.
    equivalent_flat_heads: int
    #: The engine computes on the processor.
    device = "cpu"

    def __init__(
        self,
        embed_dim: int = 768,
        num_heads: int = 4,
        num_layers: int = 3,
        ff_dim: int = 512,
        dropout: float = 0.1,
        device: str = "auto",
    ) -> None:
        """Sizes for :func:`train_distillation`. Until then there is nothing to project with."""
        _check_device(device)
        self._model = None
        self.embed_dim = _call.integer("embed_dim", embed_dim, 1, 2**31)
        self.num_heads = _call.integer("num_heads", num_heads, 1, 2**31)
        self.num_layers = _call.integer("num_layers", num_layers, 1, 2**31)
        self.ff_dim = _call.integer("ff_dim", ff_dim, 1, 2**31)
        self.dropout_rate = _call.number("dropout", dropout)
        if self.embed_dim % self.num_heads:
            raise InvalidArgumentError(
                f"num_heads is {self.num_heads}, expected a divisor of embed_dim, {self.embed_dim}"
            )
        if not 0 <= self.dropout_rate < 1:
            raise InvalidArgumentError(f"dropout is {self.dropout_rate}, expected 0 to below 1")
        self.equivalent_flat_heads = self.num_heads**self.num_layers

    @classmethod
    def load(cls, path: StrPath, device: str = "auto") -> ProjectionTransformer:
        """Opens a file that torch.save wrote, or a .safetensors file; which one it is shows in
        its content. `device` is "auto" or "cpu".

        Raises FileNotFoundError where there is no such file, and ValueError, naming file and
        tensor, where it is damaged, is no transformer, or would have to be run to be read.
        """
        _check_device(device)
        return cls.from_model(Model.load_file(path))

    @classmethod
    def from_model(cls, model: Model) -> ProjectionTransformer:
        """The transformer that a model of the engine is."""
        if model.kind != "transformer":
            raise InvalidModelError(f"the model is of kind {model.kind}, expected transformer")
        self = cls.__new__(cls)
        self._set_model(model)
        return self

    def _set_model(self, model: Model) -> None:
        """Calls that are under way keep the model before."""
        parameters = model.parameters
        self.embed_dim = parameters["embed_dim"]
        self.num_heads = parameters["num_heads"]
        self.num_layers = parameters["num_layers"]
        self.ff_dim = parameters["ff_dim"]
        self.dropout_rate = parameters["dropout"]
        self.equivalent_flat_heads = self.num_heads**self.num_layers
        self._model = model

    @property
    def model(self) -> Model:
        """The engine's model, for :class:`unifyweaver_projection.Searcher` and others."""
        if self._model is None:
            raise InvalidModelError("the transformer is not trained yet: train_distillation does it")
        return self._model

    def project(self, query_emb: ArrayLike) -> Floats:
        """Projects one query of shape (embed_dim,), or n of them of shape (n, embed_dim), and
        gives float32 of the same shape. Arrays of any real dtype and sequences will do."""
        return self.model.project(query_emb)

    def save(self, path: StrPath) -> None:
        """Writes a .safetensors file, which every runtime of the engine opens, whatever it is
        called. A file that was there is replaced only by the complete new one."""
        self.model.save_file(path)

    def train_mode(self) -> None:
        """Nothing: there is one mode."""

    def eval_mode(self) -> None:
        """Nothing: there is one mode."""

    def get_info(self) -> dict[str, Any]:
        """Sizes, as a dictionary."""
        return {
            "embed_dim": self.embed_dim,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "ff_dim": self.ff_dim,
            "equivalent_flat_heads": self.equivalent_flat_heads,
            "total_parameters": self._total_parameters(),
            "device": self.device,
        }

    def _total_parameters(self) -> int:
        d, f = self.embed_dim, self.ff_dim
        attention = 4 * (d * d + d)
        between = (f * d + f) + (d * f + d)
        norms = 4 * d
        outside = 2 * (d * d + d)
        return outside + self.num_layers * (attention + between + norms)

    def __repr__(self) -> str:
        return (
            f"<ProjectionTransformer embed_dim={self.embed_dim}, num_heads={self.num_heads}, "
            f"num_layers={self.num_layers}, ff_dim={self.ff_dim}>"
        )

    _model: Optional[Model]


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu"):
        raise InvalidArgumentError(
            f"device is {device!r}, expected 'auto' or 'cpu': the engine uses no other"
        )
