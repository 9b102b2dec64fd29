// SPDX-License-Identifier: Apache-2.0
#pragma once

// Inheritance from http to server to location, as nginx's merge functions do it: a value that a level did not
// set is its parent's; a list (add_header, allow, limit_req ...) is inherited only if the level has none.

#include "sources/nginx/conf.h"

namespace hawser::nginx {

void inherit(LocationConf& mine, const LocationConf& parent);
void inherit(ServerConf& mine, const ServerConf& parent);

// proxy_redirect's default for a level with its own proxy_pass; to be called after inherit().
void add_default_redirect(LocationConf& mine);

}  // namespace hawser::nginx
