# Everything outside nginx: the core, service, worker and examctl parts and
# the unit tests.  build.sh calls this with CC, FLAVOUR and BUILD; plain
# "make" works too.  New .c files are picked up by themselves: in each folder
# the file that defines main() is the program, the others form its library,
# so that unit tests link the very objects the programs are made of.

FLAVOUR ?= static
BUILD   ?= var/build/$(FLAVOUR)

ifeq ($(origin CC),default)
CC = gcc
endif

# a LIBRARY_PATH of the caller's environment would reach the linker
unexport LIBRARY_PATH

PKG_CONFIG ?= pkg-config
PKGS = hiredis yajl libcrypto mysqlclient libavformat libavcodec libavutil

# headers of libraries are system headers: their warnings are not ours
PKG_CFLAGS := $(patsubst -I%,-isystem %,\
                $(shell $(PKG_CONFIG) --cflags $(PKGS)))
LIBS       := $(shell $(PKG_CONFIG) --libs $(PKGS)) -lpthread

OPT      = -O2 -g
HARDEN   = -fstack-protector-strong -D_FORTIFY_SOURCE=2
WARN     = -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes
SANITIZE =

ifneq ($(findstring asan,$(FLAVOUR)),)
OPT      = -O1 -g -fno-omit-frame-pointer
HARDEN   =
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif

# t/fuzz, by clang: "make fuzz FLAVOUR=fuzz CC=clang"
ifneq ($(findstring fuzz,$(FLAVOUR)),)
OPT      = -O1 -g -fno-omit-frame-pointer
HARDEN   =
SANITIZE = -fsanitize=fuzzer-no-link,address,undefined \
           -fno-sanitize-recover=undefined
endif

ifneq ($(findstring debug,$(FLAVOUR)),)
OPT      = -O0 -g
HARDEN   =
endif

ALL_CFLAGS  = $(OPT) $(HARDEN) $(WARN) $(SANITIZE) -MMD -MP $(CFLAGS)
CORE_CFLAGS = -std=c11 -pedantic -Wconversion -Icore
POSIX_FLAGS = -std=gnu11 -D_GNU_SOURCE -Icore -Iservice $(PKG_CFLAGS)
ALL_LDFLAGS = $(SANITIZE) -Wl,--as-needed $(LDFLAGS)

paren   := (
# make V=1 shows the whole command lines
cc_line = $(if $(V),,@echo "  cc $<" &&)
ld_line = $(if $(V),,@echo "  ld $@" &&)

objs    = $(patsubst %.c,$(BUILD)/%.o,$(1))
sources = $(sort $(wildcard $(1)/*.c))
mains   = $(shell grep -l '^main$(paren)' $(call sources,$(1)) /dev/null)

core_src       := $(call sources,core)
service_src    := $(call sources,service)
worker_main    := $(call mains,backend-worker)
worker_src     := $(filter-out $(worker_main),$(call sources,backend-worker))
ctl_main       := $(call mains,examctl)
ctl_src        := $(filter-out $(ctl_main),$(call sources,examctl))
unit_main      := $(call mains,t/unit)
unit_src       := $(filter-out $(unit_main),$(call sources,t/unit))

# the whole of nginx is no parser of core: util/fuzz.sh links that one
fuzz_src       := $(filter-out t/fuzz/nginx.c,$(call sources,t/fuzz))

core_lib    = $(BUILD)/libcore.a
service_lib = $(BUILD)/libservice.a
worker_lib  = $(BUILD)/libworker.a
ctl_lib     = $(BUILD)/libctl.a
unit_lib    = $(BUILD)/libunit.a

PROGRAMS = $(BUILD)/bin/exam-worker $(BUILD)/bin/examctl
UNITS    = $(patsubst t/unit/%.c,$(BUILD)/unit/%,$(unit_main))
FUZZERS  = $(patsubst t/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_src))


# other flags than the last time: everything is compiled anew
FLAGS_LINE := $(CC) $(CORE_CFLAGS) $(POSIX_FLAGS) $(ALL_CFLAGS)
$(shell mkdir -p $(BUILD); echo '$(FLAGS_LINE)' > $(BUILD)/flags.new; \
        cmp -s $(BUILD)/flags.new $(BUILD)/flags \
        || cp $(BUILD)/flags.new $(BUILD)/flags)


all: $(PROGRAMS)

core: $(core_lib)

unit: $(UNITS)

# for scripts that run the unit tests
list-units:
	@for i in $(UNITS); do echo $$i; done

fuzz: $(FUZZERS)

list-fuzz:
	@for i in $(FUZZERS); do echo $$i; done

.PHONY: all core unit list-units fuzz list-fuzz
.DELETE_ON_ERROR:
.SECONDARY:


$(BUILD)/bin/exam-worker: $(call objs,$(worker_main)) $(worker_lib) \
                          $(service_lib) $(core_lib)
	@mkdir -p $(@D)
	$(ld_line) $(CC) $(ALL_LDFLAGS) -o $@.new $^ $(LIBS)
	@mv -f $@.new $@

$(BUILD)/bin/examctl: $(call objs,$(ctl_main)) $(ctl_lib) \
                      $(service_lib) $(core_lib)
	@mkdir -p $(@D)
	$(ld_line) $(CC) $(ALL_LDFLAGS) -o $@.new $^ $(LIBS)
	@mv -f $@.new $@

$(BUILD)/unit/%: $(BUILD)/t/unit/%.o $(unit_lib) $(worker_lib) $(ctl_lib) \
                 $(service_lib) $(core_lib)
	@mkdir -p $(@D)
	$(ld_line) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)


$(BUILD)/fuzz/%: $(BUILD)/t/fuzz/%.o $(core_lib)
	@mkdir -p $(@D)
	$(ld_line) $(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)


$(core_lib):    $(call objs,$(core_src))
$(service_lib): $(call objs,$(service_src))
$(worker_lib):  $(call objs,$(worker_src))
$(ctl_lib):     $(call objs,$(ctl_src))
$(unit_lib):    $(call objs,$(unit_src))

# made anew each time: an object of a removed file must not stay inside
$(BUILD)/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^


$(BUILD)/core/%.o: core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(cc_line) $(CC) $(CORE_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/t/unit/%.o: t/unit/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(cc_line) $(CC) $(POSIX_FLAGS) -It/unit -Ibackend-worker -Iexamctl \
	    $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(cc_line) $(CC) $(POSIX_FLAGS) $(ALL_CFLAGS) -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' -not -path '*/nginx/*' 2>/dev/null)
