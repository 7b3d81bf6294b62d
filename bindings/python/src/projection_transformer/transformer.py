"""The class that callers use."""

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
    """A small transformer that was distilled from a projection.

    Any number of threads may use it at once. It is opened by :meth:`load`, or constructed with its
    sizes and trained by :func:`train_distillation`, which alone changes it.
    """

    #: Dimension of queries and of projected queries.
    embed_dim: int
    #: Attention heads per layer.
    num_heads: int
    num_layers: int
    #: Width of the feed-forward layers.
    ff_dim: int
    #: Dropout during training; projecting drops nothing.
    dropout_rate: float
    #: Number of heads of a multi-head projection that it can replace, num_heads^num_layers.
    equivalent_flat_heads: int
    #: The engine computes on the processor.
    device = "cpu"

    def __init__(
        self,
        embed_dim: int = 384,
        num_heads: int = 4,
        num_layers: int = 2,
        ff_dim: int = 512,
        dropout: float = 0.1,
        device: str = "auto",
    ) -> None:
        """Sets the sizes for :func:`train_distillation`, which it needs before it can project."""
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
        """Opens a file written by torch.save, or a .safetensors file; the content decides which.
        `device` is "auto" or "cpu".

        Raises FileNotFoundError if the file does not exist. Raises ValueError, naming file and
        tensor, if it is damaged, is not a transformer, or could only be read by executing it.
        """
        _check_device(device)
        return cls.from_model(Model.load_file(path))

    @classmethod
    def from_model(cls, model: Model) -> ProjectionTransformer:
        """Wraps a model of the engine of kind "transformer"."""
        if model.kind != "transformer":
            raise InvalidModelError(f"the model is of kind {model.kind}, expected transformer")
        self = cls.__new__(cls)
        self._set_model(model)
        return self

    def _set_model(self, model: Model) -> None:
        """Replaces the model. Running calls continue with the old one."""
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
        """The engine's model, for example for :class:`unifyweaver_projection.Searcher`."""
        if self._model is None:
            raise InvalidModelError("the transformer is not trained yet; call train_distillation first")
        return self._model

    def project(self, query_emb: ArrayLike) -> Floats:
        """Projects one query of shape (embed_dim,), or n of them of shape (n, embed_dim). Accepts
        arrays of any real dtype and sequences; returns float32 of the same shape."""
        return self.model.project(query_emb)

    def save(self, path: StrPath) -> None:
        """Writes a .safetensors file, whatever the name of `path`; every runtime of the engine
        opens it. An existing file is replaced only by the complete new one."""
        self.model.save_file(path)

    def train_mode(self) -> None:
        """Does nothing; exists for compatibility."""

    def eval_mode(self) -> None:
        """Does nothing; exists for compatibility."""

    def get_info(self) -> dict[str, Any]:
        """Returns the sizes as a dictionary."""
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
        feed_forward = (f * d + f) + (d * f + d)
        norms = 4 * d
        input_and_output = 2 * (d * d + d)
        return input_and_output + self.num_layers * (attention + feed_forward + norms)

    def __repr__(self) -> str:
        return (
            f"<ProjectionTransformer embed_dim={self.embed_dim}, num_heads={self.num_heads}, "
            f"num_layers={self.num_layers}, ff_dim={self.ff_dim}>"
        )

    _model: Optional[Model]


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu"):
        raise InvalidArgumentError(
            f"device is {device!r}, expected 'auto' or 'cpu', the only device of the engine"
        )
