"""Jira's issues: Cloud's REST API 3, held against its description and ADF's schema, and Data Center's REST API 2."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cache
from typing import Any

from jsonschema import Draft4Validator
from trackers import TOKEN, Refused, Reply, Request, Tracker, described, schema_text, validate

from monitor.secrets import Secret
from monitor.tickets.jira import JiraTickets
from monitor.tickets.jira_data_center import JiraDataCenterTickets

STATUSES = {"11": ("To Do", "new"), "21": ("In Progress", "indeterminate"), "31": ("Done", "done")}


@cache
def _description() -> Any:
    return described("jira-cloud-v3-issues.openapi.json")


@cache
def adf_schema() -> Draft4Validator:
    return Draft4Validator(json.loads(schema_text("atlassian-adf.schema.json")))


class Jira(Tracker):
    """Cloud; what is closed cannot be edited, as in many workflows."""

    name = "Jira"
    api = "/rest/api/3"
    search = "/search/jql"

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict[str, Any]] = []
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.attached: dict[str, bytes] = {}
        self.hidden = False
        self.statuses = dict(STATUSES)

    def backend(self, **options: Any) -> JiraTickets:
        return JiraTickets(self.url, "robot@acme.example", Secret(TOKEN), "ML", **options)

    def count(self) -> int:
        return len(self.issues)

    def body(self, number: int) -> str:
        found = self.issues[number - 1]["fields"]["description"]
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def comments(self, number: int) -> list[str]:
        return [json.dumps(note["body"], ensure_ascii=False) for note in self.notes[number]]

    def is_open(self, number: int) -> bool:
        return self._status(number)["statusCategory"]["key"] != "done"

    def _status(self, number: int) -> dict[str, Any]:
        return self.issues[number - 1]["fields"]["status"]

    def close(self, number: int) -> None:
        self.issues[number - 1]["fields"]["status"] = self._named("31")

    def label(self, number: int, name: str) -> None:
        self.issues[number - 1]["fields"]["labels"].append(name)

    def labels(self, number: int) -> list[str]:
        return list(self.issues[number - 1]["fields"]["labels"])

    def delete(self, number: int) -> None:
        self.issues[number - 1]["deleted"] = True

    def opens(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/issue")

    def error(self, message: str) -> Any:
        return {"errorMessages": [message], "errors": {}}

    def check(self, request: Request) -> None:
        if "/attachment" not in request.path:  # the description was cut down to issues
            validate(_description(), "https://your-domain.atlassian.net", request)

    def text(self, body: Any) -> None:
        """Refuse what is no rich text of this API."""
        length = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")))
        if length < 5_000:  # long ones take the schema seconds
            adf_schema().validate(body)
        if length > 32_767:
            raise Refused(400, {"errorMessages": [], "errors": {"description": "CONTENT_LIMIT_EXCEEDED"}})

    def admits(self, request: Request) -> bool:
        basic = b64encode(f"robot@acme.example:{TOKEN}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {basic}"

    def answer(self, request: Request) -> Reply:
        if not self.admits(request):
            raise Refused(401, self.error("You are not authenticated."))
        path = request.path.removeprefix(self.api)
        if path == self.search:
            return self._search(request)
        if path == "/issue":
            return self._create(request.json)
        if path.startswith("/attachment/"):
            del self.attached[path.rpartition("/")[2]]
            return 204, {}, None
        key, rest = re.fullmatch(r"/issue/ML-(\d+)(/.*)?", path).groups()
        number = int(key)
        if self.hidden or number > len(self.issues) or self.issues[number - 1].get("deleted"):
            raise Refused(404, self.error("Issue does not exist or you do not have permission to see it."))
        return self._issue(number, rest or "", request)

    def _issue(self, number: int, rest: str, request: Request) -> Reply:
        issue = self.issues[number - 1]
        if rest == "/comment":
            return self._comment(number, request)
        if rest == "/transitions":
            return self._transitions(issue, request)
        if rest == "/attachments":
            return self._attach(issue, request)
        if request.method == "PUT":
            if not self.is_open(number):
                raise Refused(400, self.error("You do not have permission to edit issues in this project."))
            if "description" in request.json["fields"]:
                self.text(request.json["fields"]["description"])
            issue["fields"] |= request.json["fields"]
            self._remember(issue, request.json)
            return 204, {}, None
        wanted = set(request.query["fields"].split(","))
        shown = {name: value for name, value in issue["fields"].items() if name in wanted}
        there = {n: v for n, v in issue["properties"].items() if n in request.query.get("properties", "").split(",")}
        return 200, {}, {"id": str(number), "key": f"ML-{number}", "fields": shown, "properties": there}

    def _search(self, request: Request) -> Reply:
        found = re.fullmatch(r'project = "(\w+)" AND labels = "([\w-]+)" ORDER BY created ASC', request.query["jql"])
        if self.hidden or found[1] != "ML":
            raise Refused(400, self.error(f"The value '{found[1]}' does not exist for the field 'project'."))
        hits = [
            {"id": str(number), "key": f"ML-{number}"}
            for number, issue in enumerate(self.issues, 1)
            if found[2] in issue["fields"]["labels"] and not issue.get("deleted")
        ]
        return 200, {}, {"issues": hits, "isLast": True}

    def _create(self, data: dict[str, Any]) -> Reply:
        fields = data["fields"]
        if fields["project"]["key"] != "ML" or fields["issuetype"]["name"] != "Task":
            raise Refused(400, {"errorMessages": [], "errors": {"issuetype": "Specify a valid issue type"}})
        self.text(fields["description"])
        number = len(self.issues) + 1
        issue = {"fields": {**fields, "status": self._named("11"), "attachment": []}, "properties": {}}
        self._remember(issue, data)
        self.issues.append(issue)
        self.notes[number] = []
        return 201, {}, {"id": str(number), "key": f"ML-{number}", "self": f"{self.url}{self.api}/issue/{number}"}

    def _remember(self, issue: dict[str, Any], data: dict[str, Any]) -> None:
        issue["properties"] |= {one["key"]: one["value"] for one in data.get("properties", ())}

    def _comment(self, number: int, request: Request) -> Reply:
        notes = self.notes[number]
        if request.method == "GET":
            start, size = int(request.query["startAt"]), int(request.query["maxResults"])
            return 200, {}, {"startAt": start, "total": len(notes), "comments": notes[start : start + size]}
        self.text(request.json["body"])
        notes.append(request.json)
        return 201, {}, {"id": str(len(notes)), **request.json}

    def _named(self, transition: str) -> dict[str, Any]:
        name, category = self.statuses[transition]
        return {"name": name, "statusCategory": {"key": category}}

    def _transitions(self, issue: dict[str, Any], request: Request) -> Reply:
        if request.method == "GET":
            ways = [
                {"id": one, "name": f"Move to {self.statuses[one][0]}", "to": self._named(one)} for one in self.statuses
            ]
            return 200, {}, {"transitions": ways}
        issue["fields"]["status"] = self._named(request.json["transition"]["id"])
        issue["moved_with"] = request.json.get("fields")
        return 204, {}, None

    def _attach(self, issue: dict[str, Any], request: Request) -> Reply:
        if request.headers.get("X-Atlassian-Token") != "no-check":
            raise Refused(403, self.error("XSRF check failed"))
        name = re.search(rb'name="file"; filename="([^"]+)"', request.data)[1].decode()
        made = {"id": str(1000 + len(self.attached) + len(issue["fields"]["attachment"])), "filename": name}
        self.attached[made["id"]] = request.data
        issue["fields"]["attachment"] = [*issue["fields"]["attachment"], made]
        return 200, {}, [made]


class JiraDataCenter(Jira):
    """Data Center: texts in wiki markup, a personal access token."""

    name = "Jira Data Center"
    api = "/rest/api/2"
    search = "/search"

    def backend(self, **options: Any) -> JiraDataCenterTickets:
        return JiraDataCenterTickets(self.url, Secret(TOKEN), "ML", **options)

    def check(self, request: Request) -> None:
        if not request.path.startswith("/rest/api/2/"):
            raise ValueError("Data Center has version 2")

    def text(self, body: Any) -> None:
        if not isinstance(body, str):
            raise Refused(400, {"errorMessages": [], "errors": {"description": "Operation value must be a string"}})
        if len(body) > 32_767:
            raise Refused(400, {"errorMessages": [], "errors": {"description": "The entered text is too long."}})

    def admits(self, request: Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"
