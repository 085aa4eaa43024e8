"""What every pod of the chart keeps to; each demand is shown a pod that breaks it."""

from __future__ import annotations

import copy

import pytest
from helm_chart import CASES, documents, pods, render, values_of

PODS = {
    f"{case}: {name}": pod["spec"]
    for case in ("default", *CASES)
    for name, pod in pods(documents(render(values_of(case)))).items()
}


def container(spec):
    (one,) = spec["containers"]
    return one


def held(spec):
    return container(spec)["securityContext"]


def environment(spec):
    return container(spec).get("env", [])


DEMANDS = {
    "not as root": lambda spec: spec["securityContext"]["runAsNonRoot"] is True,
    "a user that is not root": lambda spec: spec["securityContext"].get("runAsUser", 1) > 0,
    "a group that is not root": lambda spec: spec["securityContext"].get("runAsGroup", 1) > 0,
    "the runtime's seccomp profile": lambda spec: (
        spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    ),
    "no more rights than it begins with": lambda spec: held(spec)["allowPrivilegeEscalation"] is False,
    "no capability": lambda spec: held(spec)["capabilities"] == {"drop": ["ALL"]},
    "a root file system that is only read": lambda spec: held(spec)["readOnlyRootFilesystem"] is True,
    "not privileged": lambda spec: "privileged" not in held(spec),
    "no token of the API server": lambda spec: spec["automountServiceAccountToken"] is False,
    "no addresses of other services": lambda spec: spec["enableServiceLinks"] is False,
    "nothing of the node": lambda spec: (
        not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        and not any("hostPath" in one for one in spec["volumes"])
    ),
    "no port of the node": lambda spec: not any("hostPort" in one for one in container(spec).get("ports", [])),
    "requests": lambda spec: {"cpu", "memory"} <= container(spec)["resources"]["requests"].keys(),
    "limits": lambda spec: {"cpu", "memory"} <= container(spec)["resources"]["limits"].keys(),
    "a fixed image": lambda spec: ":" in container(spec)["image"] and not container(spec)["image"].endswith(":latest"),
    "scratch space with a limit": lambda spec: all(
        "sizeLimit" in one["emptyDir"] for one in spec["volumes"] if "emptyDir" in one
    ),
    "secrets that only its group reads": lambda spec: all(
        one["secret"]["defaultMode"] == 0o440 for one in spec["volumes"] if "secret" in one
    ),
    "secrets from files or by reference": lambda spec: (
        not any("password" in one["name"].lower() and "value" in one for one in environment(spec))
    ),
    "time to stop": lambda spec: spec["terminationGracePeriodSeconds"] >= 15,
}
"""What is asked of a pod, by its name."""


def write(*path, value):
    def change(spec):
        at = spec
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


ONE = ("containers", 0)
HELD = (*ONE, "securityContext")
BREAKS = {
    "not as root": write("securityContext", "runAsNonRoot", value=False),
    "a user that is not root": write("securityContext", "runAsUser", value=0),
    "a group that is not root": write("securityContext", "runAsGroup", value=0),
    "the runtime's seccomp profile": write("securityContext", "seccompProfile", value={"type": "Unconfined"}),
    "no more rights than it begins with": write(*HELD, "allowPrivilegeEscalation", value=True),
    "no capability": write(*HELD, "capabilities", value={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    "a root file system that is only read": write(*HELD, "readOnlyRootFilesystem", value=False),
    "not privileged": write(*HELD, "privileged", value=True),
    "no token of the API server": write("automountServiceAccountToken", value=True),
    "no addresses of other services": write("enableServiceLinks", value=True),
    "nothing of the node": write("volumes", value=[{"name": "node", "hostPath": {"path": "/"}}]),
    "no port of the node": write(*ONE, "ports", value=[{"containerPort": 1, "hostPort": 1}]),
    "requests": write(*ONE, "resources", "requests", value={"cpu": 1}),
    "limits": write(*ONE, "resources", "limits", value={"memory": "1Gi"}),
    "a fixed image": write(*ONE, "image", value="drift-monitor:latest"),
    "scratch space with a limit": write("volumes", value=[{"name": "tmp", "emptyDir": {}}]),
    "secrets that only its group reads": write("volumes", value=[{"name": "s", "secret": {"defaultMode": 0o444}}]),
    "secrets from files or by reference": write(*ONE, "env", value=[{"name": "DB_PASSWORD", "value": "horse"}]),
    "time to stop": write("terminationGracePeriodSeconds", value=1),
}


@pytest.mark.parametrize("pod", PODS)
def test_every_pod_keeps_to_all_of_it(pod):
    assert [demand for demand, holds in DEMANDS.items() if not holds(PODS[pod])] == []


@pytest.mark.parametrize("demand", DEMANDS)
def test_a_pod_that_breaks_it_is_found(demand):
    spec = copy.deepcopy(PODS["service-postgres-replicas: Deployment demo-drift-monitor"])
    BREAKS[demand](spec)
    assert [name for name, holds in DEMANDS.items() if not holds(spec)] == [demand]


def test_every_kind_of_pod_is_among_them():
    assert {name.split(": ")[1].split(" ")[0] for name in PODS} == {"Deployment", "CronJob", "Job", "Pod"}
    assert len(PODS) > 30


def test_pods_run_as_one_fixed_user_unless_the_platform_chooses():
    assert (
        PODS["default: Deployment demo-drift-monitor"]["securityContext"]
        | {
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
        }
        == PODS["default: Deployment demo-drift-monitor"]["securityContext"]
    )
    chosen = PODS["service-sqlite: Deployment demo-drift-monitor"]["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & chosen.keys()
    assert chosen["runAsNonRoot"] is True


@pytest.mark.parametrize("case", ["default", *CASES])
def test_accounts_have_no_token_and_objects_no_rights(case):
    objects = documents(render(values_of(case)))
    assert all(one["automountServiceAccountToken"] is False for one in objects if one["kind"] == "ServiceAccount")
    assert not {"Secret", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {one["kind"] for one in objects}


def test_only_whom_the_policy_names_reaches_the_pods():
    def peers(case):
        (policy,) = [one for one in documents(render(values_of(case))) if one["kind"] == "NetworkPolicy"]
        (rule,) = policy["spec"]["ingress"]
        assert [port["port"] for port in rule["ports"]] == [9464]
        return policy["spec"]["policyTypes"], rule["from"]

    test = {"podSelector": {"matchLabels": peers("default")[1][0]["podSelector"]["matchLabels"]}}
    assert test["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert peers("default") == (["Ingress"], [test, {"podSelector": {}}])
    types, named = peers("network-policy")
    assert types == ["Ingress", "Egress"]
    spaces = [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in named[1:]]
    assert spaces == ["monitoring", "ingress-nginx"]
