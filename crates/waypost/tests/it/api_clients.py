"""Clients of the Clash API that others have written, against a running Waypost.

    api_clients.py BASE SECRET TEST_URL DASHBOARD

BASE is the address of the interface, DASHBOARD a file for Grafana, all metrics of which must be there. There must be a selector `choice`, groups `balanced` and `video`, and
live connections. The folder of the packages is in PYTHONPATH.
"""

import asyncio
import json
import pathlib
import re
import sys
import urllib.request

import aiohttp
from async_clash.auth import Auth
from async_clash.config import Config, get_configs, get_rules
from async_clash.proxy import Proxy, get_proxies
from clash_controller_api import ClashAPI
from clashctl.api.client import Clash
from clashctl.api.errors import AuthError, HTTPStatusError, NotFoundError
from clashctl.api.streams import _stream_lines, stream_traffic
from clashctl.models import LogLine
from clashctl.models.enums import ProxyType
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

GROUPS = {"balanced": "LoadBalance", "choice": "Selector", "video": "URLTest"}
LIMIT = 30

# What a dashboard of metrics needs, and of which type it is.
FAMILIES = {
    "waypost_build": "info",
    "waypost_bytes": "counter",
    "waypost_configuration_generation": "gauge",
    "waypost_connections": "gauge",
    "waypost_connections_entered": "counter",
    "waypost_dial_attempts": "counter",
    "waypost_dns_cached": "counter",
    "waypost_dns_failures": "counter",
    "waypost_dns_lookups": "counter",
    "waypost_group_backup": "gauge",
    "waypost_group_remaps": "counter",
    "waypost_hedges": "counter",
    "waypost_inbound_bytes": "counter",
    "waypost_member_state": "gauge",
    "waypost_outbound_bytes": "counter",
    "waypost_outbound_connections": "gauge",
    "waypost_outbound_state": "gauge",
    "waypost_outbound_transitions": "counter",
    "waypost_probe_delay_seconds": "histogram",
    "waypost_probe_failures": "counter",
    "waypost_reloads": "counter",
    "waypost_replays": "counter",
    "waypost_resident_memory_bytes": "gauge",
    "waypost_rule_hits": "counter",
    "waypost_uptime_seconds": "gauge",
}


def expect(holds, message):
    if not holds:
        raise AssertionError(message)


async def until(what, seen):
    """Waits until an answer is a true one, and returns it."""
    for _ in range(LIMIT * 10):
        result = await seen()
        if result:
            return result
        await asyncio.sleep(0.1)
    raise AssertionError(f"not seen within {LIMIT} s: {what}")


async def clash_controller_api(base, secret, test_url):
    async with aiohttp.ClientSession() as session:
        api = ClashAPI(base, secret, session=session)
        await api.async_validate_connection()
        report = await api.async_detect_capabilities(force=True)
        # This version never sets the last one, whatever it finds.
        absent = {name for name, there in report.capabilities.items() if not there} - {"ws_logs"}
        outcomes = {name: report.outcomes.get(name) for name in absent}
        expect(not absent, f"clash-controller-api misses {outcomes}")
        version = await api.async_get_version()
        expect(version.version not in ("", "unknown"), f"no version: {version}")
        fetched = await api.async_fetch_data()
        expect(not fetched.errors, f"clash-controller-api could not fetch {fetched.errors}")
        for key in ("traffic", "memory", "connections", "proxies", "configs", "providers_proxies", "providers_rules"):
            expect(key in fetched.data, f"no {key} in {sorted(fetched.data)}")
        proxies = fetched.data["proxies"]["proxies"]
        found = {name: proxies[name]["type"] for name in GROUPS}
        expect(found == GROUPS, f"groups are {found}")
        delays = await api.async_request("GET", "group/balanced/delay", params={"url": test_url, "timeout": 5000})
        expect({"ams-1", "ams-2"} <= delays.keys(), f"delays of the members are {delays}")
        expect(all(delay >= 1 for delay in delays.values()), f"a delay below 1 reads as a timeout: {delays}")
        answer = await api.async_request("GET", "dns/query", params={"name": "example.com", "type": "A"})
        expect(answer["Status"] == 0, f"the answer of DNS is {answer}")


async def clashctl(base, secret, test_url):
    async with Clash(base, "not the secret") as stranger:
        try:
            await stranger.proxies()
        except AuthError:
            pass
        else:
            raise AssertionError("a wrong secret is taken")
    async with Clash(base, secret, timeout_ms=10_000) as clash:
        expect((await clash.version()).version != "", "no version")
        expect((await clash.configs()).mode is not None, "no mode")
        proxies = (await clash.proxies()).root
        for name, kind in GROUPS.items():
            expect(proxies[name].proxy_type == ProxyType(kind), f"{name} is {proxies[name].proxy_type}")
        other = next(name for name in ("lon-1", "ams-1") if name != proxies["choice"].now)
        await clash.select("choice", other)
        expect((await clash.proxy("choice")).now == other, f"{other} was chosen and is not in use")
        for group, member, error in (("choice", "nobody", HTTPStatusError), ("nobody", "ams-1", NotFoundError)):
            try:
                await clash.select(group, member)
            except error:
                continue
            raise AssertionError(f"{member} can be chosen for {group}")
        expect((await clash.delay("ams-2", test_url, 5000)).delay >= 1, "no delay of a member")
        expect((await clash.delay("video", test_url, 5000)).delay >= 1, "no delay of a group")
        history = (await clash.proxy("ams-2")).history
        expect(history and history[-1].delay >= 1, f"the delay is not filed: {history}")
        expect(len((await clash.rules()).rules) >= 7, "rules are missing")

        async def three():
            live = (await clash.connections()).connections
            return live if len(live) >= 3 else None

        live = await until("three live connections", three)
        expect(any(len(one.chains) > 1 for one in live), "no connection names its group")
        await clash.close_connection(live[0].id)

        async def gone():
            return all(one.id != live[0].id for one in (await clash.connections()).connections)

        await until("one connection less", gone)
        before = {one.id for one in (await clash.connections()).connections}
        await clash.close_all_connections()

        async def none_left():
            return not before & {one.id for one in (await clash.connections()).connections}

        await until("all connections closed", none_left)
        sample = await asyncio.wait_for(anext(stream_traffic(clash)), LIMIT)
        expect(sample.up >= 0 and sample.down >= 0, f"traffic is {sample}")
        # Its own `stream_logs` asks for no level, and may wait long for a line of `info`.
        line = LogLine.model_validate_json(await asyncio.wait_for(anext(_stream_lines(clash, "logs?level=debug")), LIMIT))
        expect(line.payload != "", f"a line of the log without a text: {line}")


async def async_clash(base, secret):
    async with aiohttp.ClientSession() as session:
        auth = Auth(session, base, secret)
        raw = await get_proxies(auth)
        for data in raw.values():
            proxy = Proxy(data, auth)
            expect(proxy.name and proxy.type and isinstance(proxy.udp, bool), f"a proxy without facts: {data}")
            expect(isinstance(proxy.history, list), f"no history: {data}")
        expect(Proxy(raw["balanced"], auth).now == "", "a balancer has one member in use")
        choice = Proxy(raw["choice"], auth)
        other = next(name for name in choice.all if name != choice.now)
        await choice.async_select(other)
        await choice.async_update()
        expect(choice.now == other, f"{other} was chosen and {choice.now} is in use")
        expect(len(await get_rules(auth)) >= 7, "rules are missing")
        config = Config(await get_configs(auth), auth)
        old = config.mode
        await config.async_set_mode("global")
        await config.async_update()
        expect(config.mode.lower() == "global", f"the mode is {config.mode}")
        await config.async_set_mode(old)


def queries(node):
    """All queries of a dashboard."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("expr", "definition") if isinstance(node.get(key), str))
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from queries(inner)


def metrics(base, secret, dashboard):
    request = urllib.request.Request(f"{base}/metrics", headers={"Authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        kind = response.headers["Content-Type"]
        text = response.read().decode()
    is_open = kind.startswith("application/openmetrics-text")
    families = (openmetrics if is_open else parser).text_string_to_metric_families(text)
    found = {family.name: family for family in families}
    wrong = {
        name: found[name].type if name in found else "absent"
        for name, kind in FAMILIES.items()
        if name not in found or found[name].type != kind
    }
    expect(not wrong, f"metrics are not as expected: {wrong}; there are {sorted(found)}")

    def value(name, **labels):
        samples = [sample for sample in found[name].samples if labels.items() <= sample.labels.items()]
        return sum(sample.value for sample in samples)

    names = {sample.name for family in found.values() for sample in family.samples}
    asked = set(re.findall(r"\bwaypost_\w+", " ".join(queries(json.loads(dashboard.read_text())))))
    expect(len(asked) > 20, f"the dashboard asks for {sorted(asked)} only")
    expect(asked <= names, f"the dashboard asks for {sorted(asked - names)}, which nobody has")
    expect(value("waypost_bytes", direction="down") > 0, "no byte has gone to a client")
    expect(value("waypost_dial_attempts", outcome="carried") > 0, "nothing was dialled")
    expect(value("waypost_rule_hits") > 0, "no rule has decided")
    expect(value("waypost_member_state", group="balanced") == 4, "not one state for each member of `balanced`")
    samples = found["waypost_probe_delay_seconds"].samples
    count = sum(sample.value for sample in samples if sample.name.endswith("_count"))
    expect(count > 0, "no probe has a delay")


def main(base, secret, test_url, dashboard):
    asyncio.run(clash_controller_api(base, secret, test_url))
    asyncio.run(clashctl(base, secret, test_url))
    asyncio.run(async_clash(base, secret))
    metrics(base, secret, pathlib.Path(dashboard))
    print("all clients work")


if __name__ == "__main__":
    main(*sys.argv[1:])
