"""The formats of one request a row: our own and the public ones.

Our own, which is what to write for a trace that comes from elsewhere, is plain CSV with a header:

    arrival_s[,service][,seconds][,input_tokens][,output_tokens][,requests]

`arrival_s` is seconds since the trace began; `seconds` how long the work took, without any waiting; `requests` how
many requests came at that moment, 1 where there is no such column. Fields that were not recorded are left empty.
"""

from __future__ import annotations

from simulations.traces.options import Format
from simulations.traces.rows import Clock, RowFormat

REQUESTS = RowFormat(
    name="requests",
    about="one request a row, arrival_s[,service][,seconds][,input_tokens][,output_tokens][,requests]",
    arrival=("arrival_s",),
    service=("service", "model"),
    seconds=("seconds", "exec_s"),
    input_tokens=("input_tokens",),
    output_tokens=("output_tokens",),
    repeats=("requests",),
    keep={"status": "SUCCEED"},
)
AZURE_LLM = RowFormat(
    name="azure-llm",
    about="Azure LLM inference traces of 2023 and 2024, TIMESTAMP,ContextTokens,GeneratedTokens",
    arrival=("TIMESTAMP",),
    needs=("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    clock=Clock.TIMESTAMP,
    rebase=True,
    input_tokens=("ContextTokens",),
    output_tokens=("GeneratedTokens",),
)
BURSTGPT = RowFormat(
    name="burstgpt",
    about="BurstGPT, with 6 columns or with session and elapsed time 8",
    arrival=("Timestamp",),
    needs=("Timestamp", "Model", "Request tokens", "Response tokens"),
    rebase=True,
    service=("Model",),
    seconds=("Elapsed time",),
    input_tokens=("Request tokens",),
    output_tokens=("Response tokens",),
)
AZURE_FUNCTIONS_2021 = RowFormat(
    name="azure-functions-2021",
    about="Azure Functions of 2021, app,func,end_timestamp,duration",
    arrival=("end_timestamp",),
    needs=("app", "func", "end_timestamp", "duration"),
    ends=True,
    rebase=True,
    service=("app", "func"),
    join_service=True,
    seconds=("duration",),
)
MEASURED_REQUESTS = RowFormat(
    name="measured-requests",
    about="what a real run sent, send_s,batch,latency_s,output_tokens,status",
    arrival=("send_s",),
    needs=("send_s", "latency_s", "status"),
    output_tokens=("output_tokens",),
)

ROW_FORMATS = tuple(
    Format(form.name, form.about, form.recognise, form.open)
    for form in (REQUESTS, AZURE_LLM, BURSTGPT, AZURE_FUNCTIONS_2021, MEASURED_REQUESTS)
)
