// ldns (wire format, names, codes) without the macros for bool, true and false that its C99 header may leave behind.
#pragma once

#include <ldns/ldns.h>

#undef bool
#undef true
#undef false
