# SPDX-License-Identifier: Apache-2.0
"""What the L4 and the crowd measures make up: addresses, manifests, rules."""

import ipaddress
import json
import re

from . import million, services

MOST = 44_000


def test_every_service_and_every_endpoint_has_an_address_of_its_own():
    last = MOST - 1
    assert services.service_address(0) == "10.112.0.1"
    assert ipaddress.ip_address(services.service_address(last)) in services.SERVICE_NETWORK
    assert ipaddress.ip_address(services.pod_address(last, services.ENDPOINTS - 1)) in services.POD_NETWORK
    spare = {services.spare_address(generation) for generation in range(1, services.CHANGES + 1)}
    assert len(spare) == services.CHANGES
    highest = ipaddress.ip_address(services.pod_address(last, services.ENDPOINTS - 1))
    assert all(ipaddress.ip_address(address) > highest for address in spare)
    assert not services.SERVICE_NETWORK.overlaps(services.POD_NETWORK)


def test_a_change_is_one_endpoint():
    first, second = (services.endpoint_slice(7, generation)["endpoints"] for generation in (0, 1))
    assert len(first) == services.ENDPOINTS
    assert [a != b for a, b in zip(first, second)] == [False] * (services.ENDPOINTS - 1) + [True]


def test_manifests_are_lists_whose_slices_belong_to_their_services():
    items = json.loads(services.manifest([services.service(0), services.endpoint_slice(0)]))["items"]
    assert items[1]["metadata"]["labels"]["kubernetes.io/service-name"] == items[0]["metadata"]["name"]
    assert items[0]["spec"]["ports"][0]["nodePort"] == services.NODE_PORT
    assert "type" not in services.service(1)["spec"]


def test_nft_has_an_element_for_every_endpoint_of_every_frontend():
    rule, more = services.nft_rule(3, "10.0.0.1")
    elements = re.findall(r"^(\d) \. ([\d.]+) \. (\d+) : ([\d.]+) \. 9000", more, re.MULTILINE)
    assert len(elements) == len(set(elements)) == (3 + 1) * services.ENDPOINTS
    assert ("5", "10.112.0.3", "80", services.pod_address(2, 5)) in elements
    assert ("0", "10.0.0.1", "30100", services.pod_address(0, 0)) in elements
    assert "map @services" in rule


def test_the_crowd_has_room_for_more_than_a_million():
    pods = million.pods()
    assert len(set(pods)) == million.POD_ADDRESSES
    # Hawser's half of its ports towards each of them; clients' ports of each of their addresses.
    assert million.POD_ADDRESSES * 9_880 > 1_200_000
    assert million.CLIENT_ADDRESSES * (65_536 - 1_024) > 1_200_000
    assert million.addresses("10.1.0.254", 3) == ["10.1.0.254", "10.1.0.255", "10.1.1.0"]
