// SPDX-License-Identifier: Apache-2.0
#include "app/get.h"

#include <boost/url.hpp>
#include <ostream>

#include "app/client.h"
#include "app/table.h"
#include "app/text_format.h"

namespace hawser::app {

namespace json = boost::json;

namespace {

struct ResourceName {
    std::string_view path;    // in the API
    bool namespaced = false;  // -n and NAMESPACE have a meaning
};

ResourceName name_of(Resource resource) {
    switch (resource) {
        case Resource::services:
            return {"services", true};
        case Resource::endpoints:
            return {"endpoints", true};
        case Resource::routes:
            return {"routes", false};
        case Resource::frontends:
            return {"frontends", false};
        case Resource::tunnels:
            return {"tunnels", false};
        case Resource::vips:
            return {"vips", false};
        case Resource::peers:
            return {"peers", false};
        case Resource::snapshot:
            return {"snapshot", false};
    }
    return {};
}

std::string target(const GetCommand& command, const std::string& continue_at) {
    const auto name = name_of(command.resource);
    boost::urls::url url("/api/v1/" + std::string(name.path));
    const auto add = [&url](const char* key, const std::string& value) {
        if (!value.empty()) url.params().append({key, value});
    };
    if (command.resource == Resource::snapshot) return url.buffer();
    if (name.namespaced && !command.all_namespaces) add("namespace", command.namespace_);
    add("name", command.name);
    add("service", command.service);
    if (command.resource == Resource::tunnels) add("limit", "10000");
    add("continue", continue_at);
    return url.buffer();
}

std::string message_of(const AdminClient::Answer& answer) {
    const auto* message = answer.body.get_object().if_contains("message");
    if (message != nullptr && message->is_string()) return std::string(message->get_string());
    return "the daemon answered " + std::to_string(answer.status);
}

std::string continue_of(const json::object& list) {
    const auto* metadata = list.if_contains("metadata");
    if (metadata == nullptr || !metadata->is_object()) return "";
    const auto* at = metadata->get_object().if_contains("continue");
    return at != nullptr && at->is_string() ? std::string(at->get_string()) : "";
}

// The whole list, all its pages. What is no list (the snapshot) is a list of one.
net::Result<AdminClient::Answer> fetch(const GetCommand& command) {
    const AdminClient client(command.admin);
    auto whole = client.request("GET", target(command, ""));
    if (!whole || whole->status != 200) return whole;
    auto& first = whole->body.get_object();
    if (!first.contains("items")) {
        json::array one{json::value(first)};
        whole->body = json::object{{"items", std::move(one)}};
        return whole;
    }
    for (auto at = continue_of(first); !at.empty();) {
        auto page = client.request("GET", target(command, at));
        if (!page || page->status != 200) return page;
        auto& object = page->body.get_object();
        auto& items = object["items"];
        if (!items.is_array()) break;
        for (auto& item : items.get_array()) first["items"].get_array().push_back(std::move(item));
        at = continue_of(object);
        if (at.empty()) first["metadata"] = json::object{};
    }
    return whole;
}

void print_document(const GetCommand& command, const json::value& list, std::ostream& out) {
    const auto& items = list.at("items").get_array();
    const bool single =
        command.resource == Resource::snapshot || (!command.name.empty() && items.size() == 1);
    const auto& document = single ? items.front() : list;
    out << (command.output == Output::json ? pretty_json(document) : to_yaml(document));
}

int unreachable(const net::Error& error, std::ostream& err) {
    err << "hawser: " << error.text() << "\n";
    return exit_code::unreachable;
}

}  // namespace

int get(const GetCommand& command, std::ostream& out, std::ostream& err) {
    const auto answer = fetch(command);
    if (!answer) return unreachable(answer.error(), err);
    const auto name = name_of(command.resource);
    if (answer->status != 200 || !answer->body.at("items").is_array()) {
        err << "hawser: " << message_of(*answer) << "\n";
        return exit_code::bad_input;
    }
    const auto& items = answer->body.at("items").get_array();
    if (items.empty() && !command.name.empty()) {
        err << "hawser: " << name.path << " \"" << command.name << "\" not found\n";
        return exit_code::bad_input;
    }
    if (command.output == Output::json || command.output == Output::yaml) {
        print_document(command, answer->body, out);
        return exit_code::good;
    }
    if (items.empty()) {
        err << "No resources found";
        if (name.namespaced && !command.all_namespaces) err << " in " << command.namespace_ << " namespace";
        err << ".\n";
        return exit_code::good;
    }
    TableOptions options;
    options.wide = command.output == Output::wide;
    options.namespaces = command.all_namespaces;
    options.headers = !command.no_headers;
    options.now = std::chrono::system_clock::now();
    out << print_table(table_rows(command.resource, items, options));
    return exit_code::good;
}

int kill(const KillCommand& command, std::ostream& out, std::ostream& err) {
    int worst = exit_code::good;
    const AdminClient client(command.admin);
    for (const auto& id : command.ids) {
        boost::urls::url url("/api/v1/tunnels");
        url.segments().push_back(id);
        const auto answer = client.request("DELETE", url.buffer());
        if (!answer) return unreachable(answer.error(), err);
        if (answer->status == 200) {
            out << "tunnel \"" << id << "\" closed\n";
        } else {
            err << "hawser: " << message_of(*answer) << "\n";
            worst = exit_code::bad_input;
        }
    }
    return worst;
}

int reload(const ReloadCommand& command, std::ostream& out, std::ostream& err) {
    const auto answer = AdminClient(command.admin, std::chrono::minutes(5)).request("POST", "/api/v1/reload");
    if (!answer) return unreachable(answer.error(), err);
    if (answer->status == 200) {
        out << "snapshot " << json::serialize(answer->body.at("number")) << " is in force\n";
        return exit_code::good;
    }
    const auto* error = answer->body.get_object().if_contains("last_error");
    if (error == nullptr || !error->is_object()) {
        err << "hawser: " << message_of(*answer) << "\n";
        return exit_code::bad_input;
    }
    for (const auto& diagnostic : error->at("diagnostics").as_array())
        err << std::string_view(diagnostic.at("text").as_string()) << "\n";
    err << "hawser: the configuration was refused; what was in force stays\n";
    return exit_code::bad_input;
}

}  // namespace hawser::app
