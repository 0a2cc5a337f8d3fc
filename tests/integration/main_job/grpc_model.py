"""A gRPC model server for tests: a V2 inference service that answers with what it was sent, and grpc.health.v1."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def infer(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("answered-by", "grpc-model"),))
    return request


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    unary = grpc.unary_unary_rpc_method_handler(infer)
    methods = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": unary})
    server.add_generic_rpc_handlers((methods,))
    status = health.HealthServicer()
    status.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
