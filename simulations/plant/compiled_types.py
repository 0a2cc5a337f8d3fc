"""How compiled code sees the plant's State: as one address, and each collection as another.

Passed as arrays, the collections would be a hundred words on every call of every function, and cost more than
the work itself. So compiled functions are given one number: the address of a table that holds the addresses of the
collections' data. `p.requests[i]` is then two loads and an addition. Nothing is checked there: an index is right, which
tests of the plain core show, where it is checked.

Imported only where numba is installed.
"""

# Most of this is in numba's own language, which is typed by what runs: mypy cannot follow it.
# mypy: ignore-errors

from __future__ import annotations

import operator
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, overload_attribute, register_model
from numba.np import numpy_support

from simulations.plant.records import Bin, Event, Link, Node, Row, Second, State, Told, ToldSecond, World
from simulations.plant.service_record import Service
from simulations.plant.storage import dtype_of
from simulations.plant.work_records import BatchPlace, Group, Replica, Request

_RECORDS = {
    "world": World,
    "services": Service,
    "replicas": Replica,
    "requests": Request,
    "groups": Group,
    "batches": BatchPlace,
    "nodes": Node,
    "links": Link,
    "seconds": Second,
    "told": Told,
    "told_seconds": ToldSecond,
    "bins": Bin,
    "near": Event,
    "heap": Event,
    "rows": Row,
}
_INTEGERS = ("histograms", "caches", "sample_from")


class StateType(types.Type):
    """The address of the table of addresses."""

    def __init__(self) -> None:
        super().__init__(name="PlantState")


class RecordsType(types.Type):
    """The address of the first of many records."""

    def __init__(self, record: types.Record) -> None:
        self.record = record
        super().__init__(name=f"PlantRecords({record})")


class ScalarsType(types.Type):
    """The address of the first of many numbers."""

    def __init__(self, scalar: types.Type) -> None:
        self.scalar = scalar
        super().__init__(name=f"PlantScalars({scalar})")


class _AddressModel(models.PrimitiveModel):
    def __init__(self, dmm: object, fe_type: types.Type) -> None:
        super().__init__(dmm, fe_type, ir.IntType(64))


for _type in (StateType, RecordsType, ScalarsType):
    register_model(_type)(_AddressModel)

STATE = StateType()


@intrinsic
def as_state(typing_context, address):
    """The state whose table is at this address."""

    def generate(context, builder, signature, args):
        return args[0]

    return STATE(types.int64), generate


def _entry(kind: types.Type, number: int) -> Callable[..., object]:
    """An intrinsic that reads the address of a collection from the table."""

    @intrinsic
    def entry(typing_context, state):
        def generate(context, builder, signature, args):
            word = ir.IntType(64)
            table = builder.inttoptr(args[0], word.as_pointer())
            address = builder.load(builder.gep(table, [ir.Constant(word, number)]))
            # Collections are exchanged between calls only: it need not be read again after each store.
            address.set_metadata("invariant.load", builder.module.add_metadata([]))
            return address

        return kind(STATE), generate

    return entry


def _define(name: str, number: int) -> None:
    if name in _RECORDS:
        kind: types.Type = RecordsType(numpy_support.from_dtype(dtype_of(_RECORDS[name])))
    else:
        kind = ScalarsType(types.int64 if name in _INTEGERS else types.float64)
    entry = _entry(kind, number)

    @overload_attribute(StateType, name, inline="never")
    def attribute(p):
        def get(p):
            return entry(p)

        return get


for _number, _name in enumerate(State._fields):
    _define(_name, _number)


@intrinsic
def _record(typing_context, collection, index):
    record = collection.record

    def generate(context, builder, signature, args):
        offset = builder.mul(args[1], ir.Constant(ir.IntType(64), record.size))
        return builder.inttoptr(builder.add(args[0], offset), context.get_value_type(record))

    return record(collection, types.int64), generate


@intrinsic
def _scalar(typing_context, collection, index):
    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], context.get_value_type(collection.scalar).as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]))

    return collection.scalar(collection, types.int64), generate


@intrinsic
def _put_scalar(typing_context, collection, index, value):
    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], context.get_value_type(collection.scalar).as_pointer())
        builder.store(args[2], builder.gep(pointer, [args[1]]))
        return context.get_dummy_value()

    return types.void(collection, types.int64, collection.scalar), generate


@overload(operator.getitem)
def _getitem(collection, index):
    if isinstance(collection, RecordsType):
        return lambda collection, index: _record(collection, index)
    if isinstance(collection, ScalarsType):
        return lambda collection, index: _scalar(collection, index)
    return None


@overload(operator.setitem)
def _setitem(collection, index, value):
    if isinstance(collection, ScalarsType):

        def put(collection, index, value):
            _put_scalar(collection, index, value)

        return put
    return None
