"""Bundles: named arrays and numbers that a kernel receives as one pointer.

A named tuple of seventeen arrays costs numba seventeen unpacked array headers with reference counts in every function
that passes it on: seconds of compile time, and 600 ns a call unless everything is inlined (measured). A bundle is the
address of a table with one row per field: an array's address and length, or a number. A kernel reads
``memory.rec[frame]`` as in Python; there are no negative indices, no slices and no reference counts, the Python object
keeps the arrays alive. The rows never change while a bundle exists, and the compiler is told so.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import (
    NativeValue,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.numpy_support import from_dtype

B = TypeVar("B", bound="Bundle")


@dataclass(frozen=True)
class Column:
    """Declares a field, in ``Annotated[Any, Column(dtype)]``, to be a contiguous array of one or two dimensions."""

    dtype: Any
    ndim: int = 1


@dataclass(frozen=True)
class Number:
    """Declares a field to be a number of at most 64 bits: ``np.bool_``, ``np.int64`` or ``np.uint64``."""

    dtype: Any


class Bundle:
    """Base of the classes that `bundle` makes.

    Attributes
    ----------
    table : ndarray of uint64, shape (fields, 2)
        What kernels read: address and length (of a row, where there are two dimensions), or the number.
    address : int
        Where the table is.
    """

    layout: ClassVar[dict[str, Column | Number]]
    _numba_type_: ClassVar[Any]
    table: Any
    address: int

    def __post_init__(self) -> None:
        table = np.zeros((len(self.layout), 2), np.uint64)
        for row, (name, kind) in zip(table, self.layout.items(), strict=True):
            value = getattr(self, name)
            if isinstance(kind, Number):
                row[0] = int(value) & 0xFFFFFFFFFFFFFFFF
                continue
            if value.dtype != kind.dtype or value.ndim != kind.ndim or not value.flags.c_contiguous:
                raise TypeError(f"{type(self).__name__}.{name} must be a contiguous {kind.ndim}-d array of {kind.dtype}")
            row[0], row[1] = value.ctypes.data, value.shape[-1]
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "address", table.ctypes.data)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the fields' values."""
        return (getattr(self, name) for name in self.layout)


@dataclass_transform(frozen_default=True)
def bundle(cls: type[B]) -> type[B]:
    """Turn a subclass of `Bundle` with annotated fields into a frozen dataclass that kernels accept."""
    hints = get_type_hints(cls, include_extras=True)
    made = dataclass(frozen=True, eq=False)(cls)
    made.layout = {f.name: hints[f.name].__metadata__[0] for f in fields(made)}  # type: ignore[arg-type]
    made._numba_type_ = BundleType(made)
    return made


class BundleType(types.Type):  # type: ignore[misc]
    """The numba type of one class of bundles."""

    def __init__(self, cls: type[Bundle]) -> None:
        self.cls = cls
        super().__init__(name=f"{cls.__module__}.{cls.__qualname__}")

    def attribute(self, name: str) -> Any:
        """Return the numba type of a field, None if there is none of that name.

        What the class itself says is None is None in kernels, too: passed on, it prunes branches (see `layout.MixedMemory`).
        """
        kind = self.cls.layout.get(name)
        if kind is None:
            return types.none if getattr(self.cls, name, self) is None else None
        return ColumnType(kind.dtype, kind.ndim) if isinstance(kind, Column) else from_dtype(np.dtype(kind.dtype))


class ColumnType(types.Type):  # type: ignore[misc]
    """The numba type of an array field: an address and a length."""

    def __init__(self, dtype: Any, ndim: int) -> None:
        self.dtype, self.ndim = from_dtype(np.dtype(dtype)), ndim
        super().__init__(name=f"column({self.dtype}, {ndim})")


register_model(BundleType)(models.OpaqueModel)


@register_model(ColumnType)
class ColumnModel(models.StructModel):  # type: ignore[misc]
    """How a column looks inside a kernel."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, [("data", types.voidptr), ("size", types.intp)])


@typeof_impl.register(Bundle)
def _typeof(value: Bundle, c: Any) -> Any:
    return value._numba_type_


@unbox(BundleType)
def _unbox(typ: Any, obj: Any, c: Any) -> Any:
    address = c.pyapi.object_getattr_string(obj, "address")
    pointer = c.pyapi.long_as_voidptr(address)
    c.pyapi.decref(address)
    return NativeValue(pointer, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


def addresses(rows: Sequence[Sequence[Bundle]]) -> Any:
    """Return bundles as a table for kernels, u64 (rows, columns); they must outlive the call. See `at_address`."""
    if not config.DISABLE_JIT:
        return np.array([[one.address for one in row] for row in rows], np.uint64)
    table = np.empty((len(rows), len(rows[0])), object)
    for i, row in enumerate(rows):
        for k, one in enumerate(row):
            table[i, k] = one
    return table


def at_address(cls: type[Bundle]) -> Any:
    """Return a function for kernels that gives the bundle of class `cls` which an entry of `addresses` stands for."""
    if config.DISABLE_JIT:
        return lambda one: one

    @intrinsic
    def found(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

        return signature(cls._numba_type_, types.uint64), generate

    return found


@infer_getattr
class _BundleAttribute(AttributeTemplate):  # type: ignore[misc]
    key = BundleType

    def generic_resolve(self, typ: Any, attr: str) -> Any:
        return typ.attribute(attr)


@infer_getattr
class _ColumnAttribute(AttributeTemplate):  # type: ignore[misc]
    key = ColumnType

    def generic_resolve(self, typ: Any, attr: str) -> Any:
        return types.intp if attr == "size" and typ.ndim == 1 else None


@lower_getattr_generic(BundleType)
def _get_field(context: Any, builder: Any, typ: Any, value: Any, attr: str) -> Any:
    if attr not in typ.cls.layout:
        return context.get_dummy_value()
    table = builder.bitcast(value, ir.IntType(64).as_pointer())
    row, field_type = list(typ.cls.layout).index(attr), typ.attribute(attr)

    def word(k: int) -> Any:
        loaded = builder.load(builder.gep(table, [ir.Constant(ir.IntType(64), 2 * row + k)]))
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    if isinstance(field_type, ColumnType):
        column = cgutils.create_struct_proxy(field_type)(context, builder)
        column.data = builder.inttoptr(word(0), context.get_value_type(types.voidptr))
        column.size = word(1)
        return column._getvalue()
    if field_type == types.boolean:
        return builder.icmp_unsigned("!=", word(0), ir.Constant(ir.IntType(64), 0))
    return word(0)


@lower_getattr_generic(ColumnType)
def _get_size(context: Any, builder: Any, typ: Any, value: Any, attr: str) -> Any:
    return cgutils.create_struct_proxy(typ)(context, builder, value=value).size


def columns(table: Any) -> int:
    """Return how long a row is of a field of two dimensions: a kernel is not told how many rows there are."""
    return int(table.shape[1])


@infer_global(columns)
class _Columns(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, *args) if isinstance(args[0], ColumnType) and args[0].ndim == 2 else None


@lower_builtin(columns, ColumnType)
def _get_columns(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0]).size


def _index_type(column: ColumnType, index: Any) -> Any:
    if column.ndim == 1 and isinstance(index, types.Integer):
        return types.intp
    if column.ndim == 2 and isinstance(index, types.BaseTuple) and len(index) == 2:
        return types.UniTuple(types.intp, 2)
    return None


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        column, index = args
        if isinstance(column, ColumnType) and (at := _index_type(column, index)) is not None:
            return signature(column.dtype, column, at)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        column, index, _ = args
        if isinstance(column, ColumnType) and (at := _index_type(column, index)) is not None:
            return signature(types.none, column, at, column.dtype)
        return None


def _element(context: Any, builder: Any, typ: Any, value: Any, index: Any) -> Any:
    column = cgutils.create_struct_proxy(typ)(context, builder, value=value)
    if typ.ndim == 2:
        row, at = cgutils.unpack_tuple(builder, index)
        _check(context, builder, at, column.size)  # how many rows there are is not known here
        index = builder.add(builder.mul(row, column.size), at)
    else:
        _check(context, builder, index, column.size)
    data = builder.bitcast(column.data, context.get_data_type(typ.dtype).as_pointer())
    return builder.gep(data, [index])


def _check(context: Any, builder: Any, index: Any, size: Any) -> None:
    """Raise `IndexError` outside 0 … size - 1, where ``NUMBA_BOUNDSCHECK`` asks for it."""
    if config.BOUNDSCHECK:
        with builder.if_then(builder.icmp_unsigned(">=", index, size), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("index is out of bounds",))


@lower_builtin(operator.getitem, ColumnType, types.Any)
def _get_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.unpack_value(builder, sig.args[0].dtype, _element(context, builder, sig.args[0], *args))


@lower_builtin(operator.setitem, ColumnType, types.Any, types.Any)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    column, index, value = args
    context.pack_value(builder, sig.args[0].dtype, value, _element(context, builder, sig.args[0], column, index))
    return context.get_dummy_value()
