// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/path.h"

namespace hawser::manifest {

Path::Path(const Path& parent, std::string_view field) : parent_(&parent), step_(Step::field), name_(field) {
    if (parent.value_ != nullptr) value_ = parent.value_->find(field);
}

Path::Path(const Path& parent, std::size_t index) : parent_(&parent), step_(Step::index), index_(index) {
    if (parent.value_ != nullptr && index < parent.value_->items.size())
        value_ = parent.value_->items[index].get();
}

Path::Path(const Path& parent, std::string_view field, const Value* value)
    : parent_(&parent), step_(Step::field), name_(field), value_(value) {}

Path Path::keyed(const Path& parent, std::string_view key, const Value* value) {
    Path out(parent, key, value);
    out.step_ = Step::key;
    return out;
}

void Path::append_to(std::string& out) const {
    if (parent_ != nullptr) parent_->append_to(out);
    switch (step_) {
        case Step::root:
            break;
        case Step::field:
            if (!out.empty()) out += '.';
            out += name_;
            break;
        case Step::index:
            out += '[' + std::to_string(index_) + ']';
            break;
        case Step::key:
            out += '[';
            out += name_;
            out += ']';
            break;
    }
}

std::string Path::text() const {
    std::string out;
    append_to(out);
    return out;
}

catalog::Position Path::position(const std::string& file) const {
    for (const Path* p = this; p != nullptr; p = p->parent_)
        if (p->value_ != nullptr) return {file, p->value_->line, p->value_->column};
    return {file, 0, 0};
}

}  // namespace hawser::manifest
