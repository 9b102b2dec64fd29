# SPDX-License-Identifier: Apache-2.0
"""The same configurations before hawser's nginx source and before Debian's nginx 1.22.1: the same verdict, and where
nginx refuses, nginx's own words and line among ours.

The program under test, hawser_nginx_dump, is looked for in HAWSER_BIN_DIR, or in build/bin."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUMP = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", ROOT / "build/bin")) / "hawser_nginx_dump"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"

pytestmark = [
    pytest.mark.skipif(not os.path.exists(NGINX), reason="nginx is not installed"),
    pytest.mark.skipif(not DUMP.exists(), reason=f"{DUMP} is not built"),
]

# Put around a row that is the inside of http; its first line is line 3 of the file.
BEFORE = "events { worker_connections 64; }\nhttp { access_log off; default_type text/plain;\n"
AFTER = "\n}\n"


def server(text):
    return "server { listen 127.0.0.1:18099;\n" + text + "\n}"


def location(text, match="/"):
    return server(f"location {match} {{\n{text}\n}}")


PASS = "proxy_pass http://127.0.0.1:9;"

# Both take it.
GOOD = {
    "empty http": "",
    "a proxy": location(PASS),
    "quotes": location("return 200 \"a;b{c}d'e\";"),
    "escapes in quotes": location(r'return 200 "a\n\t\r\\\"b";'),
    "single quotes": location("return 200 'a \"b\" c';"),
    "backslash stays": location(r"rewrite ^/a\.b$ /c;"),
    "comment behind": location("return 200; # a ; { } comment"),
    "variable in brackets": location("return 200 a${uri}b;"),
    "variable before a block": server("set $a x; if ($a) { return 200; }\nreturn 404;"),
    "condition equals": server('if ($uri = "/x") { return 403; }\nreturn 404;'),
    "condition with spaces": server("if ( $uri = /x ) { return 403; }\nreturn 404;"),
    "condition regex": server("if ($http_user_agent ~* \"(curl|wget)\") { set $t $1; }\nreturn 404;"),
    "condition not regex": server("if ($request_method !~ ^(GET|HEAD)$ ) { return 405; }\nreturn 404;"),
    "named capture": location("return 200 $user;", "~ ^/u/(?<user>[a-z]+)$"),
    "listen forms": "server { listen 18098; listen *:18097; listen 127.0.0.1:18096; listen [::1]:18095; return 204; }",
    "listen range": "server { listen 127.0.0.1:18080-18082; return 204; }",
    "listen options": "server { listen 127.0.0.1:18099 default_server backlog=64 reuseport so_keepalive=on; return 204; }",
    "listen keepalive parts": "server { listen 127.0.0.1:18099 so_keepalive=30m::10; return 204; }",
    "deferred": "server { listen 127.0.0.1:18099 deferred rcvbuf=8k sndbuf=8k fastopen=3; return 204; }",
    "server names": server('server_name a.b *.b.c www.* .d.e ~^(?<h>.+)\\.x$ "" $hostname;\nreturn 204;'),
    "map": "map $http_upgrade $cu { default upgrade; '' close; }\n" + location(PASS + "proxy_set_header Connection $cu;"),
    "map with everything": "map $host $m { hostnames; volatile; default d; *.a.b 1; .c.d 2; e.* 3; ~*^x(.*)$ $1; \\default 4; }\n"
    + location("return 200 $m;"),
    "map of two variables": "map $scheme:$uri $m { http:/a a; default \"\"; }\n" + location("return 200 $m;"),
    "upstream": "upstream u { server 127.0.0.1:9 weight=2 max_fails=0 fail_timeout=1m; server 127.0.0.1:8 backup; }\n"
    + location("proxy_pass http://u;"),
    "upstream used before": location("proxy_pass http://u/x;") + "\nupstream u { server 127.0.0.1:9; }",
    "upstream least_conn": "upstream u { least_conn; server 127.0.0.1:9 max_conns=3 down; server 127.0.0.1:8; keepalive 4; }\n"
    + location("proxy_pass http://u;"),
    "upstream hash": "upstream u { zone z 64k; hash $uri consistent; server 127.0.0.1:9; }\n" + location("proxy_pass http://u;"),
    "upstream random": "upstream u { random two least_conn; server 127.0.0.1:9; }\n" + location("proxy_pass http://u;"),
    "upstream ip_hash": "upstream u { ip_hash; server 127.0.0.1:9; keepalive 2; keepalive_timeout 5s; keepalive_time 1h; keepalive_requests 9; }\n"
    + location("proxy_pass http://U;"),
    "method behind keepalive": "upstream u { server 127.0.0.1:9; keepalive 2; least_conn; }\n" + location("proxy_pass http://u;"),
    "sizes and times": location(PASS + "client_max_body_size 1g; proxy_read_timeout 1h30m; proxy_connect_timeout 500ms;"
                                "proxy_send_timeout 5; client_body_timeout 1m30s; send_timeout 2m;"),
    "timeouts in words": server("keepalive_timeout 1d 30s; keepalive_requests 5; keepalive_time 10m; return 204;"),
    "header limits": server("large_client_header_buffers 8 16k; client_header_buffer_size 2k; client_header_timeout 9s;"
                            "underscores_in_headers on; ignore_invalid_headers off; merge_slashes off; return 204;"),
    "nested locations": server("location /a { location /a/b { return 200; } location ~ c { return 201; } return 202; }"),
    "all kinds of locations": server("location = / { return 200; } location ^~ /i/ { return 200; } location ~* \\.p$ { return 200; }\n"
                                     "location =/x { return 200; } location /x { return 200; } location ~\\.q$ { return 200; }"),
    "redirects": location(PASS + "proxy_redirect default; proxy_redirect ~^http://[^/]+(/.*)$ $1; proxy_redirect http://a/ /b/;"),
    "redirect off": location(PASS + "proxy_redirect off;"),
    "headers": location(PASS + "proxy_set_header Host $host; proxy_set_header X-A \"$remote_addr:$remote_port\";"
                        "proxy_hide_header X-B; proxy_pass_header Server; add_header X-C d always; proxy_ignore_headers X-Accel-Redirect Vary;"),
    "next upstream": location(PASS + "proxy_next_upstream error timeout http_502 non_idempotent; proxy_next_upstream_tries 2;"
                              "proxy_next_upstream_timeout 5s;"),
    "proxy switches": location(PASS + "proxy_buffering off; proxy_request_buffering off; proxy_http_version 1.1; proxy_method POST;"
                               "proxy_pass_request_body off; proxy_pass_request_headers on; proxy_buffer_size 8k; proxy_buffers 8 8k;"
                               "proxy_busy_buffers_size 16k;"),
    "dynamic proxy": "upstream u { server 127.0.0.1:9; }\n" + location("set $b u; proxy_pass http://$b;"),
    "logs": "log_format j escape=json '{\"a\":\"$remote_addr\"}';\nlog_format n escape=none \"$request_time ${status}\";\n"
    "map $status $no { 200 0; default 1; }\n" + location("access_log /dev/null j if=$no; access_log /dev/null n; access_log /dev/null combined buffer=4k flush=1s; return 204;"),
    "limits": "limit_req_zone $binary_remote_addr zone=r:1m rate=30r/m;\nlimit_conn_zone $server_name zone=c:64k;\n"
    + location("limit_req zone=r burst=5 nodelay; limit_conn c 10; limit_conn_status 429; limit_req_status 429; limit_req_dry_run on; return 204;"),
    "limit delay": "limit_req_zone $uri$args zone=r:32k rate=3r/s;\n" + location("limit_req zone=r burst=12 delay=8; return 204;"),
    "access": location("allow 10.0.0.0/8; allow ::1; deny 192.168.1.7; deny all; satisfy any; return 204;"),
    "real ip": server("set_real_ip_from 10.0.0.0/8; set_real_ip_from fd00::/8; real_ip_header X-Forwarded-For; real_ip_recursive on; return 204;"),
    "types": server("types { text/html html htm; application/json json; }\nreturn 204;"),
    "rewrites": server("rewrite ^/a/(.*)$ /b/$1 last; rewrite ^/c$ http://x.y/ permanent; rewrite ^/d /e? break; rewrite ^/f $scheme://g/ ; return 444;"),
    "return a url": server("return https://$host$request_uri;"),
    "regex with braces in quotes": location("return 204;", '~ "^/[0-9]{3}$"'),
    "set args": server("set $args a=b; return 204;"),
    "settings": server("server_tokens build; absolute_redirect off; port_in_redirect off; server_name_in_redirect on; reset_timedout_connection on; return 204;"),
    "no effect": "sendfile on; tcp_nopush on; tcp_nodelay on; gzip off; types_hash_max_size 2048; server_names_hash_bucket_size 64;\n"
    "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; resolver 127.0.0.1;",
    "root beside a proxy": server("root /srv; index index.html;\nlocation / { " + PASS + " }"),
    "include nothing": "include /nonexistent/*.conf;",
    "two servers, one address": server("server_name a;\nreturn 204;") + server("server_name b;\nreturn 204;"),
    "conflicting names": server("server_name a;\nreturn 204;") + server("server_name a;\nreturn 204;"),
    "duplicate extension": "types { text/a x; text/b x; }",
    "brace at a word's end": location("return 200 a}b;"),
    "time with units in order": location(PASS + "proxy_read_timeout 1w2d3h4m5s6ms;"),
    "words without case": location(PASS + "proxy_next_upstream Error HTTP_502; proxy_ignore_headers x-accel-expires; proxy_buffering OFF;"),
    "time with a bare end": server("send_timeout 1m5; return 204;"),
    "two locations of one regex": server("location ~ a { return 200; } location ~ a { return 201; }"),
    "prefix beside exact": server("location /a { return 200; } location = /a { return 201; }"),
    "carriage returns": "map $uri $m {\r\n default a;\r\n}\r\n",
}

# nginx's message is among ours, on the same line (nginx counts to the end of a directive, so rows keep each on one).
# Those that nginx judges at the end of http, and hawser where they stand: any line is right.
JUDGED_LATE = {"one buffer", "large buffers small"}
BAD = {
    "a lonely semicolon": "sendfile on;\n;",
    "a lonely brace": "sendfile on;\n{ }",
    "end in a block": "server {\nlisten 127.0.0.1:18099;\n",
    "end in a word": "server { listen 80",
    "brace in a directive": "server {\nlisten 127.0.0.1:18099\n}",
    "text behind a quote": 'server {\nserver_name "a"b;\n}',
    "unterminated quote": 'server {\nserver_name "a;\n}',
    "a long word": "server {\nserver_name " + "a" * 5000 + ";\n}",
    "a long quoted word": 'server {\nserver_name "' + "a" * 5000 + '\n}',
    "a long comment": "server {\n#" + "a" * 5000 + "\n}",
    "unknown directive": "server {\nproxy_passs http://a;\n}",
    "not allowed here": "server {\nworker_processes 3;\n}",
    "location in http": "location / {\n}",
    "upstream in server": "server {\nupstream u { }\n}",
    "no block": "server {\nlocation / ;\n}",
    "no semicolon": "server {\nlisten 80 { }\n}",
    "no arguments": "server {\nserver_name;\n}",
    "too many arguments": "server {\nlocation / {\nproxy_pass http://a http://b;\n}\n}",
    "a flag with two": "sendfile on off;",
    "a wrong flag": "sendfile yes;",
    "merge_slashes flag": "merge_slashes 1;",
    "duplicate directive": server("send_timeout 1;\nsend_timeout 2;"),
    "duplicate flag": server("absolute_redirect on;\nabsolute_redirect on;"),
    "bad size": server("client_max_body_size 10x;"),
    "size with g": server("client_header_buffer_size 1g;"),
    "bad time": server("client_body_timeout 10x;"),
    "a time with a space": server('send_timeout "5 s";'),
    "units out of order": server("client_body_timeout 1s1m;"),
    "bad number": server("keepalive_requests x;"),
    "bad keepalive": server("keepalive_timeout x;"),
    "listen parameter": "server {\nlisten 80 backlogg=1;\n}",
    "listen backlog": "server {\nlisten 80 backlog=x;\n}",
    "listen port": "server {\nlisten 127.0.0.1:99999;\n}",
    "listen port text": "server {\nlisten 127.0.0.1:http;\n}",
    "listen v6": "server {\nlisten [::1;\n}",
    "listen v6 address": "server {\nlisten [::zz]:80;\n}",
    "listen path": "server {\nlisten 127.0.0.1/x;\n}",
    "listen ipv6only": "server {\nlisten [::1]:80 ipv6only=maybe;\n}",
    "listen keepalive": "server {\nlisten 80 so_keepalive=maybe;\n}",
    "listen range turned": "server {\nlisten 127.0.0.1:90-80;\n}",
    "duplicate listen": "server {\nlisten 127.0.0.1:18099;\nlisten 127.0.0.1:18099;\n}",
    "duplicate default": "server {\nlisten 127.0.0.1:18099 default_server;\n}\nserver {\nlisten 127.0.0.1:18099 default_server;\n}",
    "duplicate options": "server {\nlisten 127.0.0.1:18099 backlog=3;\n}\nserver {\nlisten 127.0.0.1:18099 backlog=3;\n}",
    "bad server name": "server {\nserver_name *a.b;\n}",
    "a dot as name": "server {\nserver_name .;\n}",
    "empty regex name": "server {\nserver_name ~;\n}",
    "broken regex name": "server {\nserver_name ~^(a;\n}",
    "location modifier": server("location =~ /a { }"),
    "location outside": server("location /a {\nlocation /b { }\n}"),
    "location in exact": server("location = /a {\nlocation /a/b { }\n}"),
    "broken regex location": server("location ~ ^/(a {\n}"),
    "broken regex with rest": server("location ~ a**b {\n}"),
    "duplicate location": server("location /a { }\nlocation /a { }"),
    "duplicate final location": server("location /a { }\nlocation ^~ /a { }"),
    "two proxy_pass": location(PASS + "\nproxy_pass http://127.0.0.1:8;"),
    "proxy_pass prefix": location("proxy_pass 127.0.0.1:9;"),
    "proxy_pass uri in regex": location("proxy_pass http://127.0.0.1:9/x;", "~ /a"),
    "proxy_pass port": location("proxy_pass http://127.0.0.1:x;"),
    "proxy_pass nothing": location("proxy_pass http://;"),
    "upstream with port": "upstream u { server 127.0.0.1:9; }\n" + location("proxy_pass http://u:81;"),
    "host not found": location("proxy_pass http://no-such-host.invalid;"),
    "upstream host not found": "upstream u {\nserver no-such-host.invalid:80;\n}",
    "upstream empty": "upstream u {\n}",
    "upstream twice": "upstream u { server 127.0.0.1:9; }\nupstream u { server 127.0.0.1:9; }",
    "upstream weight": "upstream u {\nserver 127.0.0.1:9 weight=0;\n}",
    "upstream fails": "upstream u {\nserver 127.0.0.1:9 max_fails=x;\n}",
    "upstream parameter": "upstream u {\nserver 127.0.0.1:9 wait=1;\n}",
    "upstream port": "upstream u {\nserver 127.0.0.1:0;\n}",
    "backup with hash": "upstream u { hash $uri;\nserver 127.0.0.1:9 backup;\n}",
    "backup with random": "upstream u { random;\nserver 127.0.0.1:9 backup;\n}",
    "hash parameter": "upstream u {\nhash $uri inconsistent;\n}",
    "random parameter": "upstream u {\nrandom three;\n}",
    "random method": "upstream u {\nrandom two most_conn;\n}",
    "keepalive zero": "upstream u { server 127.0.0.1:9;\nkeepalive 0;\n}",
    "only backups": "upstream u {\nserver 127.0.0.1:9 backup;\n}",
    "unknown variable": location("return 200 $nonsense;"),
    "variable without name": location("return 200 a$;"),
    "variable without bracket": location("return 200 ${uri;"),
    "set without dollar": server("set a b;"),
    "set a builtin": server("set $uri b;"),
    "set a header": server("set $http_host b;"),
    "map without dollar": "map $uri m { }",
    "map to a builtin": "map $uri $host { }",
    "map two defaults": "map $uri $m { default a;\ndefault b;\n}",
    "map row": "map $uri $m {\na b c;\n}",
    "map twice": "map $uri $m { a b;\na c;\n}",
    "map host": "map $uri $m { hostnames;\na.*.b c;\n}",
    "map regex": "map $uri $m {\n~(a b;\n}",
    "map block": "map $uri $m {\na { }\n}",
    "types block": "types {\na { }\n}",
    "return code": server("return abc;"),
    "return large code": server("return 1000;"),
    "return url and text": server("return http://a b;"),
    "rewrite flag": server("rewrite a b c;"),
    "rewrite nothing": server("rewrite a '';"),
    "rewrite regex": server("rewrite (a b;"),
    "if without bracket": server("if $uri { }"),
    "if without end": server("if ($uri { }"),
    "if operator": server("if ($uri == a) { }"),
    "if words": server("if ($uri = a b) { }"),
    "if constant": server("if (a) { }"),
    "if in if": server("if ($uri) {\nif ($args) { }\n}"),
    "listen in if": server("if ($uri) {\nlisten 80;\n}"),
    "if capture": server("if ($1) { }"),
    "http version": location(PASS + "\nproxy_http_version 2;"),
    "next upstream word": location(PASS + "\nproxy_next_upstream http_499;"),
    "ignore header": location(PASS + "\nproxy_ignore_headers X-Foo;"),
    "redirect word": location(PASS + "\nproxy_redirect on;"),
    "redirect default first": location("proxy_redirect default;\n" + PASS),
    "redirect default variables": location("proxy_pass http://$host;\nproxy_redirect default;"),
    "redirect twice off": location(PASS + "proxy_redirect off;\nproxy_redirect off;"),
    "one buffer": location(PASS + "\nproxy_buffers 1 4k;"),
    "add_header word": server("add_header a b c;"),
    "server_tokens word": server("server_tokens maybe;"),
    "log format unknown": server("access_log /dev/null nope;"),
    "log format twice": "log_format a b;\nlog_format a c;",
    "log format combined": "log_format combined b;",
    "log escape": "log_format a escape=xml b;",
    "log parameter": server("access_log /dev/null combined nope=1;"),
    "log buffer": server("access_log /dev/null combined buffer=x;"),
    "log flush": server("access_log /dev/null combined flush=5s;"),
    "log off word": server("access_log off combined;"),
    "log variable": "log_format a $nonsense;\n" + server("access_log /dev/null a;"),
    "error log level": "error_log /dev/null loud;",
    "allow": server("allow 1.2.3;"),
    "allow bits": server("allow 1.2.3.4/33;"),
    "zone without size": "limit_req_zone $uri zone=a rate=1r/s;",
    "zone too small": "limit_req_zone $uri zone=a:1k rate=1r/s;",
    "zone rate": "limit_req_zone $uri zone=a:1m rate=0r/s;",
    "zone twice": "limit_conn_zone $uri zone=a:1m;\nlimit_conn_zone $args zone=a:1m;",
    "zone parameter": "limit_conn_zone $uri zon=a:1m;",
    "limit burst": "limit_req_zone $uri zone=a:1m rate=1r/s;\n" + server("limit_req zone=a burst=x;"),
    "limit without zone": server("limit_req burst=4;"),
    "limit unknown zone": server("limit_req zone=nope;"),
    "limit conn unknown": server("limit_conn nope 3;"),
    "limit twice": "limit_conn_zone $uri zone=a:1m;\n" + server("limit_conn a 3;\nlimit_conn a 3;"),
    "limit conn number": "limit_conn_zone $uri zone=a:1m;\n" + server("limit_conn a 0;"),
    "limit conn large": "limit_conn_zone $uri zone=a:1m;\n" + server("limit_conn a 70000;"),
    "limit status": server("limit_req_status 200;"),
    "limit level": server("limit_req_log_level loud;"),
    "real ip from": server("set_real_ip_from no-such-host.invalid;"),
    "real ip header twice": server("real_ip_header a;\nreal_ip_header b;"),
    "large buffers": server("large_client_header_buffers 0 8k;"),
    "large buffers small": server("large_client_header_buffers 4 100;"),
    "include missing": "include /nonexistent/file.conf;",
    "include two": "include a b;",
}

# The same for whole files.
BAD_WHOLE = {
    "a brace too many": "events { }\nhttp { }\n}\n",
    "two https": "events { }\nhttp { }\nhttp { }\n",
    "two events": "events { }\nevents { }\n",
    "server in main": "events { }\nserver { }\nhttp { }\n",
    "unknown in main": "events { }\nworkers 4;\nhttp { }\n",
    "worker_connections": "events { worker_connections x; }\nhttp { }\n",
    "http word": "events { }\nhttp now { }\n",
    "cut off": "events {\n",
    "upstream at top": "events { }\nhttp { }\nupstream u { server 127.0.0.1:9; }\n",
}

# nginx takes it; hawser refuses it by name.
REFUSED = {
    "listen unix": ("server {\nlisten unix:/tmp/hawser-test.sock;\n}", "unix"),
    "listen http2": ("server {\nlisten 127.0.0.1:18099 http2;\nreturn 204;\n}", "http2"),
    "listen proxy_protocol": ("server {\nlisten 127.0.0.1:18099 proxy_protocol;\nreturn 204;\n}", "proxy_protocol"),
    "upstream unix": ("upstream u {\nserver unix:/tmp/x;\n}", "unix"),
    "proxy_pass unix": (location("proxy_pass http://unix:/tmp/x:/;"), "unix"),
    "proxy_pass https": (location("proxy_pass https://127.0.0.1:9;"), "https"),
    "error_page": (server("error_page 404 /404.html;"), "error_page"),
    "try_files": (location("try_files $uri =404;"), "try_files"),
    "root": (location("root /srv;"), "root"),
    "alias": (location("alias /srv/;", "/a/"), "alias"),
    "server root": (server("root /srv;"), "root"),
    "location below root": (server("root /srv;\nlocation / { }"), "root"),
    "gzip on": (server("gzip on;"), "gzip"),
    "auth_basic": (server("auth_basic realm;"), "auth_basic"),
    "if file": (server("if (-f $uri) { return 200; }"), "-f"),
    "if proxy_pass": (location("if ($uri) {\nproxy_pass http://127.0.0.1:9;\n}"), "proxy_pass"),
    "if add_header": (location("if ($uri) {\nadd_header a b;\n}"), "add_header"),
    "limit_except": (location("limit_except GET { deny all; }"), "limit_except"),
    "fastcgi": (location("fastcgi_pass 127.0.0.1:9;"), "fastcgi_pass"),
    "stub_status": (location("stub_status;"), "stub_status"),
    "geo": ("geo $g { default 0; }", "geo"),
    "split_clients": ("split_clients $uri $v { * a; }", "split_clients"),
    "sub_filter": (server("sub_filter a b;"), "sub_filter"),
    "named location": (server("location @a { return 204; }"), "@a"),
    "log gzip": (server("access_log /dev/null combined gzip;"), "gzip"),
    "log syslog": (server("access_log syslog:server=127.0.0.1 combined;"), "syslog"),
    "log path variables": (server("access_log /tmp/$host.log combined;"), "access_log"),
    "document_root": (location("return 200 $document_root;"), "document_root"),
    "proxy_cookie_path": (location(PASS + "\nproxy_cookie_path / /a;"), "proxy_cookie_path"),
    "expires": (server("expires 1h;"), "expires"),
    "limit_rate": (server("limit_rate 1k;"), "limit_rate"),
    "real_ip proxy_protocol": (server("real_ip_header proxy_protocol;"), "proxy_protocol"),
}


def test_the_page_names_every_directive():
    page = (ROOT / "docs/nginx.md").read_text()
    missing = set()
    for source in (ROOT / "src/sources/nginx").glob("commands_*.cc"):
        table = source.read_text().split("constexpr Command commands[] = {", 1)[1]
        for name in re.findall(r'\{\s*"([a-z0-9_]+)",', table):
            families = [f"`{name[:i + 1]}*`" for i, c in enumerate(name) if c == "_"]
            if f"`{name}`" not in page and not any(f in page for f in families):
                missing.add(name)
    assert not missing - {"autoindex", "random_index"}  # named with their values


def ask_nginx(path):
    """nginx's verdict and its [emerg] line: (ok, message, line); line is 0 where nginx names none."""
    run = subprocess.run([NGINX, "-t", "-c", str(path), "-p", str(path.parent) + "/", "-g", f"pid {path.parent}/nginx.pid;"],
                         capture_output=True, text=True, timeout=20)
    emerg = [line for line in run.stderr.splitlines() if "[emerg]" in line]
    if run.returncode == 0:
        return True, "", 0
    assert emerg, run.stderr
    message = re.sub(r"^.*?\[emerg\] (\d+#\d+: )?", "", emerg[0])
    placed = re.match(rf"(.*) in {re.escape(str(path))}:(\d+)$", message, re.S)
    return (False, placed[1], int(placed[2])) if placed else (False, message, 0)


def ask_hawser(path):
    """(ok, [(severity, line, message)])"""
    run = subprocess.run([str(DUMP), str(path)], capture_output=True, text=True, timeout=20)
    assert run.returncode in (0, 1), run
    found = []
    for line in run.stdout.splitlines():
        parts = re.match(rf"{re.escape(str(path))}(?::(\d+))?(?::\d+)?: (error|warning|note): (.*)", line)
        if parts:
            found.append((parts[2], int(parts[1] or 0), parts[3]))
    return run.returncode == 0, found


def write(tmp_path, text):
    path = tmp_path / "nginx.conf"
    path.write_text(text, newline="")
    return path


@pytest.mark.parametrize("name", GOOD)
def test_both_accept(tmp_path, name):
    path = write(tmp_path, BEFORE + GOOD[name] + AFTER)
    nginx = ask_nginx(path)
    assert nginx[0], f"the row is wrong: nginx says {nginx}"
    ok, found = ask_hawser(path)
    assert ok, [f for f in found if f[0] == "error"]


def check_refusal(path, any_line=False):
    ok, message, line = ask_nginx(path)
    assert not ok, "the row is wrong: nginx accepts it"
    ours_ok, found = ask_hawser(path)
    assert not ours_ok, f"nginx refuses: {message}, line {line}"
    errors = [(at, text) for severity, at, text in found if severity == "error"]
    assert any(text == message and (any_line or line in (0, at)) for at, text in errors), f"nginx: {message}, line {line}; hawser: {errors}"


@pytest.mark.parametrize("name", BAD)
def test_both_refuse_in_the_same_words(tmp_path, name):
    check_refusal(write(tmp_path, BEFORE + BAD[name] + AFTER), name in JUDGED_LATE)


@pytest.mark.parametrize("name", BAD_WHOLE)
def test_both_refuse_a_whole_file_in_the_same_words(tmp_path, name):
    check_refusal(write(tmp_path, BAD_WHOLE[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_hawser_refuses_by_name_what_it_cannot_do(tmp_path, name):
    text, word = REFUSED[name]
    path = write(tmp_path, BEFORE + text + AFTER)
    nginx = ask_nginx(path)
    assert nginx[0], f"the row is wrong: nginx says {nginx}"
    ok, found = ask_hawser(path)
    errors = [text for severity, line, text in found if severity == "error" and line > 0]
    assert not ok and any(word in text for text in errors), found
