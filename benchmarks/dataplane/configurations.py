"""Configuration files of nginx, as upstream and as proxy, and of haproxy: as one would write them for a fast hop."""

from __future__ import annotations

from pathlib import Path

from benchmarks.dataplane.loads import BODY_BYTES

_JSON = (
    '{"model_name":"example","model_version":"1","id":"0f6a1c1e-6b1d-4d0a-9a53-77c0de77c0de","outputs":'
    '[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[0.1171875,0.2265625,0.640625,0.015625]}]}'
).ljust(205)

# nginx bounds the length of one parameter; so the 4 KiB are written as sixteen times a quarter of a KiB.
_PIECE = "x" * (BODY_BYTES // 16)

_FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    default_type application/json;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""

_UPSTREAM = """
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        set $piece "{piece}";
        location = /json {{ return 200 '{json}'; }}
        location = /4k {{ return 200 "{pieces}"; }}
        location = /10m {{ root {folder}; }}
    }}
"""

_PROXY = """
    upstream model {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
"""

_HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout queue 300s
frontend requests
    bind 127.0.0.1:{port} backlog 2048
    default_backend model
backend model
    server replica 127.0.0.1:{upstream} maxconn {limit}
"""


def nginx_upstream(folder: Path, port: int) -> str:
    """Serves /json, /4k and the file `folder`/10m."""
    servers = _UPSTREAM.format(port=port, folder=folder, json=_JSON, piece=_PIECE, pieces="$piece" * 16)
    return _FRAME.format(folder=folder, servers=servers)


def nginx_proxy(folder: Path, port: int, upstream: int) -> str:
    """Passes bytes on as they come, over connections that stay. It cannot limit by waiting, so it has no limit."""
    return _FRAME.format(folder=folder, servers=_PROXY.format(port=port, upstream=upstream))


def haproxy(port: int, upstream: int, limit: int) -> str:
    """One thread; at most `limit` requests at the upstream, the rest in its queue."""
    return _HAPROXY.format(port=port, upstream=upstream, limit=limit)
