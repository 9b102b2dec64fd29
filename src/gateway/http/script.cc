// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/script.h"

#include "gateway/http/escape.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Break;
using catalog::http::Builtin;
using catalog::http::Condition;
using catalog::http::If;
using catalog::http::Instruction;
using catalog::http::Return;
using catalog::http::Rewrite;
using catalog::http::Script;
using catalog::http::SetVariable;
using catalog::http::Template;
using catalog::http::VariableKind;

namespace {

bool is_redirect_status(std::uint16_t status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

class Run {
  public:
    explicit Run(Exchange& x) : x_(x) {}

    // False: the script is over.
    bool run(const Script& script) {
        for (const Instruction& instruction : script) {
            const bool go_on = std::visit([this](const auto& what) { return apply(what); }, instruction.what);
            if (!go_on) return false;
        }
        return true;
    }

    std::optional<Answer> take_answer() { return std::move(answer_); }

  private:
    // nginx escapes captures only if the client's path had an escape or a plus in it.
    bool path_was_coded() const { return x_.request.raw_path.find_first_of("%+") != std::string_view::npos; }

    // The value of `set` and of `if (a = b)`. nginx starts a script as if in a redirect: captures are escaped
    // until the first rewrite of the script has matched (seen with nginx 1.22.1).
    std::string operand(const Template& text) const {
        if (!escape_captures_ || !path_was_coded()) return expand(text, x_);
        std::string out;
        for (const Template::Part& part : text.parts) append_part(out, part, true);
        return out;
    }

    void append_part(std::string& out, const Template::Part& part, bool escape) const {
        switch (part.kind) {
            case Template::Part::Kind::literal:
                out += part.text;
                break;
            case Template::Part::Kind::variable:
                append_value(out, part.variable, x_);
                break;
            case Template::Part::Kind::capture: {
                const auto text = CaptureView{x_.captures, x_.captured_subject}.group(part.capture);
                if (escape) {
                    append_escaped(out, text, EscapeSet::arguments);
                } else {
                    out += text;
                }
            }
        }
    }

    bool apply(const SetVariable& set) {
        std::string value = operand(set.value);
        const auto& variable = x_.server->variables->variables[set.variable];
        if (variable.kind == VariableKind::builtin && variable.builtin == Builtin::args) {
            x_.args = std::move(value);
        } else {
            assign(x_, set.variable, std::move(value));
        }
        return true;
    }

    bool apply(const Return& r) {
        Answer answer;
        answer.status = r.status;
        if (r.status < 400 || !r.text.empty()) {
            std::string text = expand(r.text, x_);
            if (is_redirect_status(r.status)) {
                answer.location = absolute_location(x_, std::move(text));
            } else {
                answer.body = std::move(text);
                answer.is_text = true;
            }
        }
        answer_ = std::move(answer);
        return false;
    }

    bool apply(const Break&) {
        x_.uri_changed = false;
        return false;
    }

    bool apply(const If& branch) { return !holds(branch.condition) || run(*branch.then); }

    bool holds(const Condition& condition) {
        std::string value;
        append_value(value, condition.variable, x_);
        switch (condition.test) {
            case Condition::Test::is_true:
                return !is_false(value);
            case Condition::Test::equals:
                return value == operand(condition.operand);
            case Condition::Test::not_equals:
                return value != operand(condition.operand);
            case Condition::Test::matches:
                return matches(*condition.regex, condition.named, value);
            case Condition::Test::not_matches:
                return !matches(*condition.regex, condition.named, value);
        }
        return false;
    }

    // A pattern of a script that does not match also forgets $1..$9 of the one before, as in nginx.
    bool matches(const catalog::Regex& regex, const NamedGroups& named, std::string_view subject) {
        if (match_and_keep(regex, named, subject, x_)) return true;
        x_.captures.clear();
        return false;
    }

    bool apply(const Rewrite& rewrite) {
        if (!matches(*rewrite.regex, rewrite.named, x_.uri)) return true;
        x_.internal = true;
        x_.uri_as_sent = false;
        escape_captures_ = false;
        if (is_redirect(rewrite)) return redirect(rewrite);

        if (rewrite.flag == Rewrite::Flag::break_) {
            x_.valid_location = false;
            x_.uri_changed = false;
        } else {
            x_.uri_changed = true;
        }
        if (!replace_uri(rewrite)) return false;
        return rewrite.flag == Rewrite::Flag::none;
    }

    static bool is_redirect(const Rewrite& rewrite) {
        const std::string_view text = rewrite.replacement.source;
        return rewrite.flag == Rewrite::Flag::redirect || rewrite.flag == Rewrite::Flag::permanent ||
               text.starts_with("http://") || text.starts_with("https://") || text.starts_with("$scheme");
    }

    bool redirect(const Rewrite& rewrite) {
        std::string text;
        bool has_arguments = false;
        const bool escape = path_was_coded();
        for (const Template::Part& part : rewrite.replacement.parts) {
            if (part.kind == Template::Part::Kind::literal) {
                has_arguments = has_arguments || part.text.find('?') != std::string::npos;
            }
            append_part(text, part, escape);
        }
        unescape_redirect(text);
        if (rewrite.keep_arguments && !x_.args.empty()) {
            text += has_arguments ? '&' : '?';
            text += x_.args;
        }
        Answer answer;
        answer.status = rewrite.flag == Rewrite::Flag::permanent ? 301 : 302;
        answer.location = absolute_location(x_, std::move(text));
        answer_ = std::move(answer);
        return false;
    }

    // The first '?' that stands in the configuration divides URI and arguments; one that comes out of a
    // variable or capture does not.
    bool replace_uri(const Rewrite& rewrite) {
        std::string uri;
        std::string args;
        std::string* out = &uri;
        const bool coded = path_was_coded();
        for (const Template::Part& part : rewrite.replacement.parts) {
            const std::size_t mark = part.kind == Template::Part::Kind::literal && out == &uri
                                         ? part.text.find('?')
                                         : std::string::npos;
            if (mark != std::string::npos) {
                uri.append(part.text, 0, mark);
                args.append(part.text, mark + 1);
                out = &args;
            } else {
                append_part(*out, part, coded && out == &args);
            }
        }
        if (out == &args) {
            x_.args_rewritten = true;
            if (rewrite.keep_arguments && !x_.args.empty()) {
                args += '&';
                args += x_.args;
            }
            x_.args = std::move(args);
        } else if (!rewrite.keep_arguments) {
            x_.args_rewritten = true;
            x_.args.clear();
        }
        x_.uri = std::move(uri);
        if (!x_.uri.empty()) return true;
        answer_ = Answer{};
        answer_->status = 500;
        answer_->reason = "the rewritten URI has a zero length";
        return false;
    }

    Exchange& x_;
    std::optional<Answer> answer_;
    bool escape_captures_ = true;
};

}  // namespace

std::optional<Answer> run_script(const Script& script, Exchange& exchange) {
    if (script.empty()) return std::nullopt;
    Run run(exchange);
    run.run(script);
    return run.take_answer();
}

}  // namespace hawser::gateway
