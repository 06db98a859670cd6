"""What runs the gateway elsewhere: one image, manifests that hold against their schemas, the scripts that fill them in.

None has met the real services; deploy/README.md says so of each.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ratchet.config.serving import Serving
from tests import google

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCUMENTED = (DEPLOY / "README.md").read_text(encoding="utf-8")
BUILT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
GAUGE, KEYS = "ratchet_requests_in_flight", "/keys/api-keys"
# What Cloud Run reads of a Service (its API's run.v1 schemas): others are refused or passed over in silence.
CLOUD_RUN = {
    "spec": {"containerConcurrency", "containers", "serviceAccountName", "timeoutSeconds", "volumes"},
    "container": {"name", "image", "command", "args", "env", "ports", "resources", "volumeMounts", "workingDir",
                  "startupProbe", "livenessProbe", "readinessProbe"},
    "probe": {"httpGet", "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"},
}  # fmt: skip
# What a predictor of KServe (v1beta1) takes beside the fields of a pod.
PREDICTOR = {"minReplicas": int, "maxReplicas": int, "scaleMetric": str, "scaleTarget": int,
             "containerConcurrency": int, "timeout": int}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = google.place_in(tmp_path)
    (found / ".env").write_text(
        "MLFLOW_SERVING_USERNAME=serving\nMLFLOW_SERVING_PASSWORD=reads-models\nRATCHET_GATEWAY_PASSWORD=writes-records\n"
    )
    (found / "api-keys").write_text("a hashed key\n")
    (found / "metrics-key").write_text("rk_metrics\n")
    (found / "deploy" / "gcp" / "values.local.sh").write_text(
        f'PROJECT="p"\nAPI_KEYS_FILE="{found / "api-keys"}"\nMETRICS_KEY_FILE="{found / "metrics-key"}"\n'
    )
    return found


def gateway(place: Path, step: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return google.script(place, "gateway.sh", step, **env)


def applied(place: Path, step: str) -> dict[str, Any]:
    """What a step gives to the cluster, by kind."""
    done = gateway(place, step)
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all((place / "seen.applied").read_text()) if found]
    secrets = {found["metadata"]["name"]: found for found in objects if found["kind"] == "Secret"}
    return {found["kind"]: found for found in objects} | {"Secret": secrets}


def require_valid(manifest: dict[str, Any]) -> None:
    """Hold it against the schema of its kind in the newest Kubernetes; a field that is not there is a fault too."""
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def cloud_run(place: Path) -> dict[str, Any]:
    done = gateway(place, "run")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load((place / "seen.service").read_text())
    return found


def test_the_image_is_free_of_what_hadolint_finds() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_starts_the_gateway_as_nobody_and_without_a_shell() -> None:
    assert re.findall(r"^USER (.+)$", BUILT, re.MULTILINE) == ["10001"]
    (start,) = re.findall(r"^CMD (\[.+\])$", BUILT, re.MULTILINE)
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (\[.+\])$", BUILT, re.MULTILINE)
    assert yaml.safe_load(start) == ["python", "/ratchet/deploy/gateway.py"]
    assert yaml.safe_load(check) == ["python", "/ratchet/deploy/gateway.py", "--healthy"]


def test_every_manifest_of_the_folder_is_among_those_that_are_checked_here_and_is_documented() -> None:
    found = {path.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("*.y*ml")}
    checked = {"cloudrun/service.yaml", "gke/gateway.yaml", "gke/monitoring.yaml", "gke/adapter.yaml"}
    assert found == checked | {"kserve/service.yaml"}
    assert not [name for name in found if f"`{name}`" not in DOCUMENTED]


def test_what_goes_to_the_cluster_is_what_kubernetes_knows(place: Path) -> None:
    objects = applied(place, "gke")
    for name in ("ratchet-model", "ratchet-model-metrics"):
        require_valid(objects["Secret"][name])
    checked = {"Namespace", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Role",
               "RoleBinding"}  # fmt: skip
    for kind in checked:
        require_valid(objects[kind])
    assert set(objects) == checked | {"Secret", "PodMonitoring"}
    assert "${" not in (place / "seen.applied").read_text(), "a name was not filled in"


def test_a_pod_is_asked_when_it_is_ready_and_ends_when_it_has_answered(place: Path) -> None:
    pod = applied(place, "gke")["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/ping"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    pause_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause_s + Serving().timeout_s


def test_a_pod_has_no_rights_and_writes_only_where_it_must(place: Path) -> None:
    for kind, pod in pods(place).items():
        (container,) = pod["containers"]
        security = pod.get("securityContext", {}) | container["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == 10001, kind
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], kind
        assert security["capabilities"] == {"drop": ["ALL"]} and security["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"/state", "/tmp"}
        assert all(volumes[name]["emptyDir"]["sizeLimit"] for name in ("state", "tmp")), "a full disk is the pod's own"


def pods(place: Path) -> dict[str, Any]:
    predictor = applied(place, "kserve")["InferenceService"]["spec"]["predictor"]
    deployment = applied(place, "gke")["Deployment"]["spec"]["template"]["spec"]
    return {"InferenceService": predictor, "Deployment": deployment}


def test_all_parts_speak_of_the_same_pods(place: Path) -> None:
    objects = applied(place, "gke")
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [objects[kind]["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    chosen += [objects["Service"]["spec"]["selector"], objects["PodMonitoring"]["spec"]["selector"]["matchLabels"]]
    for selector in chosen:
        assert selector.items() <= labels.items()
    ports = {port["name"] for port in objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} == ports
    assert {endpoint["port"] for endpoint in objects["PodMonitoring"]["spec"]["endpoints"]} == ports
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", objects["Deployment"]["metadata"]["name"])
    assert "replicas" not in objects["Deployment"]["spec"], "an apply would undo what the autoscaler did"


def test_pods_are_added_by_the_requests_in_flight_that_the_gateway_counts(place: Path) -> None:
    spec = applied(place, "gke")["HorizontalPodAutoscaler"]["spec"]
    (metric,) = spec["metrics"]
    assert metric["pods"]["metric"]["name"] == GAUGE
    assert 1 < spec["minReplicas"] < spec["maxReplicas"]
    (rule,) = yaml.safe_load((DEPLOY / "gke" / "adapter.yaml").read_text())["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{GAUGE}{{") and rule["name"]["as"] == GAUGE
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


def test_who_collects_reads_the_key_for_that_and_no_other_secret(place: Path) -> None:
    objects = applied(place, "gke")
    (endpoint,) = objects["PodMonitoring"]["spec"]["endpoints"]
    asked = endpoint["authorization"]["credentials"]["secret"]
    assert objects["Secret"][asked["name"]]["stringData"] == {asked["key"]: "rk_metrics"}
    (rule,) = objects["Role"]["rules"]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (["secrets"], [asked["name"]], ["get"])
    assert objects["RoleBinding"]["roleRef"]["name"] == objects["Role"]["metadata"]["name"]


def test_kserve_gets_a_pod_that_kubernetes_knows_and_its_own_words_around_it(place: Path) -> None:
    service = applied(place, "kserve")["InferenceService"]
    assert service["apiVersion"] == "serving.kserve.io/v1beta1" and set(service) == {
        "apiVersion", "kind", "metadata", "spec",
    }  # fmt: skip
    predictor = service["spec"]["predictor"]
    assert {name: type(predictor[name]) for name in PREDICTOR} == PREDICTOR
    assert predictor["scaleMetric"] == "concurrency" and predictor["scaleTarget"] < predictor["containerConcurrency"]
    pod = {name: value for name, value in predictor.items() if name not in PREDICTOR}
    require_valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": pod})
    (container,) = pod["containers"]
    assert container["name"] == "kserve-container", "what KServe looks for"
    said = values(container)
    assert said["AIP_PREDICT_ROUTE"] == f"/v1/models/{service['metadata']['name']}:predict", "its v1 protocol"
    assert said["AIP_HEALTH_ROUTE"] == f"/v1/models/{service['metadata']['name']}"


def values(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def secrets_of(container: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry}


def test_cloud_run_gets_what_its_api_reads_and_scales_by_concurrency(place: Path) -> None:
    service = cloud_run(place)
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    assert set(service["spec"]["template"]) == {"metadata", "spec"}
    spec = service["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert set(spec) <= CLOUD_RUN["spec"] and set(container) <= CLOUD_RUN["container"]
    for name in ("startupProbe", "livenessProbe"):
        assert set(container[name]) <= CLOUD_RUN["probe"]
    notes = service["spec"]["template"]["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in notes.values()), "annotations are texts"
    scale = [int(notes[f"autoscaling.knative.dev/{side}Scale"]) for side in ("min", "max")]
    assert 1 <= scale[0] < scale[1] and 1 < spec["containerConcurrency"] <= 1000
    assert spec["timeoutSeconds"] > Serving().timeout_s
    start = container["startupProbe"]
    assert start["httpGet"]["path"] == "/ready" and start["periodSeconds"] * start["failureThreshold"] <= 240
    assert "PORT" not in values(container), "Cloud Run says it"
    assert service["metadata"]["name"] == "ratchet-model" and "${" not in (place / "seen.service").read_text()


def test_all_places_run_one_image_and_no_manifest_holds_a_password(place: Path) -> None:
    objects = applied(place, "gke")
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    (own,) = {entry["name"] for entry in secrets_of(container).values()}
    secret = objects["Secret"][own]["stringData"]
    passwords = {"MLFLOW_TRACKING_PASSWORD": "reads-models", "RATCHET_GATEWAY_PASSWORD": "writes-records"}
    assert secret == passwords | {"api-keys": "a hashed key"}
    containers = [pod["containers"][0] for pod in pods(place).values()]
    containers.append(cloud_run(place)["spec"]["template"]["spec"]["containers"][0])
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        assert set(secrets_of(container)) == {"MLFLOW_TRACKING_PASSWORD", "RATCHET_GATEWAY_PASSWORD"}
        asks_keys = values(container).get("RATCHET_API_KEYS_FILE") == KEYS
        assert asks_keys != ("--no-keys" in container.get("command", ())), "keys, or somebody in front"
        assert re.match(r"postgresql://ratchet_gateway@", values(container)["RATCHET_DATABASE_URL"])
    for pod in pods(place).values():
        references = secrets_of(pod["containers"][0]).values()
        assert {entry["name"] for entry in references} == {own}
        assert {entry["key"] for entry in references} < set(secret)
    assert not [word for word in ("reads-models", "writes-records") if word in (place / "seen").read_text()]


@pytest.mark.parametrize(
    ("step", "lacks", "told"),
    [
        ("kserve", "API_KEYS_FILE", "name who may ask the gateway"),
        ("gke", "METRICS_KEY_FILE", "name a key with the scope admin, by which /metrics is read"),
    ],
)
def test_without_keys_nothing_reaches_the_cluster(place: Path, step: str, lacks: str, told: str) -> None:
    with (place / "deploy" / "gcp" / "values.local.sh").open("a") as values_there:
        values_there.write(f'{lacks}=""\n')
    done = gateway(place, step)
    assert done.returncode == 1
    assert done.stderr == f"{lacks} (''): no such file; {told} in deploy/gcp/values.local.sh\n"
    assert not (place / "seen").exists()


def test_vertex_is_told_ports_and_routes_and_a_person_what_comes_next(place: Path) -> None:
    done = gateway(place, "vertex")
    assert done.returncode == 0, done.stderr
    (upload,) = [line for line in (place / "seen").read_text().splitlines() if " models upload " in line]
    for words in ("--model-id ratchet-model", "--container-ports 5001", "--container-predict-route /invocations",
                  "--container-health-route /ready",
                  "--container-command python,/ratchet/deploy/gcp/vertex.py"):  # fmt: skip
        assert f" {words} " in f"{upload} ", words
    assert "@10.0.0.3:5432/ratchet?sslmode=require" in upload and "--artifact-uri" not in upload
    assert "reads-models" not in upload and "writes-records" not in upload
    assert done.stdout.index("gcloud ai endpoints create") < done.stdout.index("gcloud ai endpoints deploy-model")
    assert "--network projects/123456/global/networks/default" in done.stdout


def test_vertex_gets_a_further_version_and_the_task_where_a_folder_is_named(place: Path) -> None:
    with (place / "deploy" / "gcp" / "values.local.sh").open("a") as values_there:
        values_there.write('ARTIFACTS="gs://a-bucket/task"\n')
    assert gateway(place, "vertex", KNOWN="yes").returncode == 0
    seen = (place / "seen").read_text()
    assert re.search(r"storage cp \S+/configs/quickstart.yaml gs://a-bucket/task/task.yaml", seen)
    assert "--artifact-uri gs://a-bucket/task " in seen
    assert re.search(r"models upload --parent-model projects/p/locations/[\w-]+/models/ratchet-model ", seen)


def test_a_step_that_is_none_is_told_which_there_are(place: Path) -> None:
    done = gateway(place, "everywhere")
    assert done.returncode == 2
    assert all(f"gateway.sh {step} " in done.stdout for step in ("run", "gke", "kserve", "vertex"))
