"""Engines' pages, as engines write them, into one vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.engine_metrics import _samples, read_engine
from queue_proxy.messages import EngineStats

VLLM = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 100.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:gpu_cache_usage_perc{engine="1",model_name="m"} 0.1
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="m"} 0.0
"""
SGLANG = """
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0"} 2
sglang:num_running_reqs{model_name="m",tp_rank="1",pp_rank="0"} 2
sglang:num_queue_reqs{model_name="m",priority=""} 7
sglang:num_queue_reqs{model_name="m",priority="1"} 3
sglang:num_queue_reqs{model_name="m",priority="2"} 4
sglang:token_usage{model_name="m"} 0.5
"""
TGI = "tgi_queue_size 6\ntgi_batch_current_size 2\ntgi_batch_current_max_tokens 4000\n"
TRITON = """
nv_inference_request_success{model="a",version="1"} 70
nv_inference_pending_request_count{model="a",version="1"} 2
nv_inference_pending_request_count{model="b",version="1"} 3
"""
TRT_LLM = """
nv_trt_llm_request_metrics{model="t",request_type="waiting",version="1"} 4
nv_trt_llm_request_metrics{model="t",request_type="scheduled",version="1"} 8
nv_trt_llm_request_metrics{model="t",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="t",version="1"} 0.125
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="t",version="1"} 6239
"""


@pytest.mark.parametrize(
    ("page", "stats"),
    [
        (VLLM, EngineStats(7.0, 5.0, 0.75)),
        (SGLANG, EngineStats(2.0, 7.0, 0.5)),
        (SGLANG.replace("sglang:", "sglang_"), EngineStats(2.0, 7.0, 0.5)),
        (TGI, EngineStats(2.0, 6.0, None)),
        (TRITON, EngineStats(None, 5.0, None)),
        (TRT_LLM, EngineStats(8.0, 4.0, 0.125)),
        ("inference_requests_running 1\ninference_kv_cache_usage_ratio 1\n", EngineStats(1.0, None, 1.0)),
        ("vllm:gpu_cache_usage_perc 0.5\n", EngineStats(None, None, 0.5)),
        ("vllm:num_requests_running 1 1700000000000\n", EngineStats(1.0, None, None)),
        ('vllm:num_requests_running{model_name="a b\\"} c"} 2\n', EngineStats(2.0, None, None)),
    ],
)
def test_each_engine_is_read_in_its_own_words(page: str, stats: EngineStats) -> None:
    assert read_engine(page) == stats


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("tgi_queue_size 6", {}, 6.0),
        ("tgi_queue_size\t6.5e1 1700000000000 ", {}, 65.0),
        ("tgi_queue_size{} 6", {}, 6.0),
        ('tgi_queue_size { a = "x" , b="}, \\\\",} 6', {"a": "x", "b": "}, \\\\"}, 6.0),
    ],
)
def test_a_line_is_read_as_the_format_allows_it_to_be_written(line: str, labels: dict[str, str], value: float) -> None:
    assert _samples([line]) == {"tgi_queue_size": [(labels, value)]}


@pytest.mark.parametrize(
    "rest",
    ["6", "{ 6", "{a} 6", '{a="x} 6', '{a="x"b="y"} 6', '{a="x",,} 6', " 6 7 8", " 1_0", " \u0661", '{a="\\"} 6', " "],
)
def test_a_line_that_cannot_be_read_makes_its_quantity_unknown(rest: str) -> None:
    assert read_engine(f"tgi_queue_size{rest}\ntgi_batch_current_size 2\n") == EngineStats(2.0, None, None)


@pytest.mark.parametrize("page", ["", "# nothing\n", "up 1\nprocess_cpu_seconds_total 5\n", "<html>404</html>"])
def test_a_page_without_a_known_name_is_no_engine(page: str) -> None:
    assert read_engine(page) is None


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "many", "", "1.5.2"])
def test_what_is_not_a_count_is_unknown_and_not_zero(value: str) -> None:
    page = f'vllm:num_requests_running{{engine="0"}} 1\nvllm:num_requests_running{{engine="1"}} {value}\n'
    assert read_engine(page + "vllm:num_requests_waiting 2\n") == EngineStats(None, 2.0, None)


@pytest.mark.parametrize("value", ["1.01", "50", "NaN", "-0.1"])
def test_a_usage_that_is_not_a_fraction_is_unknown(value: str) -> None:
    assert read_engine(f"vllm:kv_cache_usage_perc {value}\n") == EngineStats(None, None, None)


LINE = st.sampled_from(["vllm:num_requests_running", "tgi_queue_size", "sglang:token_usage"]).flatmap(
    lambda name: st.text(st.sampled_from('{}=",\\ 0129.eN-+Infab#\n\t\x00é'), max_size=25).map(lambda rest: name + rest)
)


@given(st.lists(LINE | st.text(max_size=30), max_size=5))
def test_garbage_is_read_without_an_error(lines: list[str]) -> None:
    stats = read_engine("\n".join(lines))
    if stats is not None:
        for value in (stats.running, stats.waiting, stats.kv_cache_usage):
            assert value is None or value >= 0
