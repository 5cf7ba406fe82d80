"""Each fault, seen by requests, and whose it is."""

import pytest
import requests
import shapes


@pytest.fixture(autouse=True)
def no_faults_left(server):
    yield
    requests.delete(f"{server.url}/course/faults", headers=server.headers, timeout=30)


def plan(server, fault, headers=None, **options):
    return server.post(f"{server.url}/course/faults", {"fault": fault, **options}, headers)


@pytest.mark.parametrize(
    ("fault", "status", "fragment"),
    [
        ("400", 400, "not supported by provider"),
        ("401", 401, "Invalid credentials in Authorization header"),
        ("402", 402, "You have depleted your monthly included credits."),
        ("403", 403, "does not have sufficient permissions to call Inference Providers"),
        ("404", 404, "Model curso/qa-pt does not exist"),
        ("410", 410, "deprecated and no longer supported by provider hf-inference"),
        ("413", 413, "too large"),
        ("429", 429, "Rate limit reached"),
        ("500", 500, "Internal Server Error"),
        ("502", 502, "Bad Gateway"),
        ("503", 503, "Service temporarily unavailable, overload detected"),
    ],
)
@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_a_status_comes_once_with_the_apis_words(server, fault, status, fragment):
    assert plan(server, fault).json() == {"planned": 1}
    response = server.ask()
    assert response.status_code == status
    shapes.check(shapes.ERROR, response.json())
    assert fragment in response.json()["error"]
    assert server.ask().status_code == 200


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_unauthorized_has_its_headers(server):
    plan(server, "401")
    assert server.ask().headers["www-authenticate"].startswith("Bearer realm=")


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_unprocessable_names_its_kind(server):
    plan(server, "422")
    response = server.ask()
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_rate_limit_says_when_to_return(server):
    plan(server, "429", retry_after=7)
    assert server.ask().headers["Retry-After"] == "7"


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_loading_says_how_long(server):
    plan(server, "503-loading", estimated_time=2.5)
    response = server.ask()
    expected = {"error": "Model curso/qa-pt is currently loading", "estimated_time": 2.5}
    assert (response.status_code, response.json()) == (503, expected)


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_gateway_timeout_is_html(server):
    plan(server, "504")
    response = server.ask()
    assert response.status_code == 504
    assert response.headers["content-type"].startswith("text/html")
    with pytest.raises(requests.JSONDecodeError):
        response.json()


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_drop_closes_the_connection(server):
    plan(server, "drop")
    with pytest.raises(requests.ConnectionError):
        server.ask()
    assert server.ask().status_code == 200


@pytest.mark.contract(task="faults", client="requests", direction="request")
def test_slow_waits_then_answers(server):
    server.ask()
    plan(server, "slow", delay=0.5)
    response = server.ask()
    assert response.status_code == 200
    assert response.elapsed.total_seconds() >= 0.5
    shapes.check(shapes.ANSWER, response.json())


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_truncated_is_half_of_the_answer_under_200(server):
    whole = server.ask()
    plan(server, "truncated")
    response = server.ask()
    assert response.status_code == 200
    assert whole.text.startswith(response.text) and 0 < len(response.text) < len(whole.text)
    with pytest.raises(requests.JSONDecodeError):
        response.json()


@pytest.mark.contract(task="faults", client="requests", direction="request")
def test_order_times_and_clearing(server):
    plan(server, "500", times=2)
    assert plan(server, "429").json() == {"planned": 3}
    assert [server.ask().status_code for _ in range(4)] == [500, 500, 429, 200]
    plan(server, "500", times=9)
    url = f"{server.url}/course/faults"
    cleared = requests.delete(url, headers=server.headers, timeout=30)
    assert cleared.json() == {"planned": 0}
    assert server.ask().status_code == 200


@pytest.mark.contract(task="faults", client="requests", direction="request")
def test_a_fault_is_its_clients_own(server, other_headers):
    plan(server, "500")
    assert server.ask(headers=other_headers).status_code == 200
    assert server.ask().status_code == 500


@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_chat_and_embeddings_fail_too_but_the_hub_does_not(server):
    plan(server, "503", times=2)
    assert requests.get(f"{server.url}/api/models", headers=server.headers, timeout=30).ok
    chat = server.post(f"{server.url}/v1/chat/completions", {"messages": []})
    assert chat.status_code == 503
    assert server.post(server.model_url("curso/e5-pt-en"), {"inputs": "oi"}).status_code == 503


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fault": "teapot"},
        {"fault": ["500"]},
        {"fault": "500", "times": -1},
        {"fault": "500", "times": "dez"},
        {"fault": "500", "times": 10**9},
        {"fault": "slow", "delay": 10**9},
        {"fault": "429", "retry_after": True},
        [],
    ],
)
@pytest.mark.contract(task="faults", client="requests", direction="error")
def test_a_fault_that_cannot_be_planned(server, body):
    response = server.post(f"{server.url}/course/faults", body)
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())
