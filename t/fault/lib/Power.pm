package Power;

# What a disk may hold after a power loss: the traced operations on spool and
# store, replayed with no more than what was synced.
#
#   data    the bytes of a file as of its last fdatasync or fsync
#   names   a creation, rename or removal counts once a directory it touches
#           has been synced after it; before that it may be there or not
#
# A rename is one change: the name is at its old place or at its new one, saved
# by a sync of either folder.  Everything is independent of each other: any
# later change may be kept without those before.
#
#   my $log = Power->base;                 # before the trace
#   $log->read($trace);                    # of Crash::attach, with all data
#   for my $moment ($log->moments) {
#       for my $state ($log->states($moment)) { $log->lay($state); ... }
#   }

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path remove_tree);

use Crash;
use Exam;
use Spool ();


# Called when the trace begins: what is there by then is on the disk.

sub base {
    my ($class) = @_;

    my %files = map { $_ => Exam::slurp($_) }
        map { files_below($_, qr/./) } _roots();

    return bless { base => \%files, ops => [] }, $class;
}


sub _roots { return map { abs_path($_) } Exam::spool(), Exam::recordings() }


# ---- from calls to operations

# The operations of the trace, in the order in which they were done.

sub read {
    my ($self, $trace) = @_;

    my $roots = join '|', map { quotemeta } _roots();

    $self->{roots} = qr/^(?:$roots)(?:\/|$)/;
    $self->{origin} = { map { my $data = $self->{base}{$_};
                              $_ => { data => $data, synced => [[0, $data]],
                                      wrote => [[0, $data]] } }
                        keys %{ $self->{base} } };
    $self->{names} = { %{ $self->{origin} } };

    my @calls = grep { defined $_->{leave} && defined $_->{result}
                       && ($_->{result} !~ /^-/ || $_->{target} eq 'client') }
                Crash::calls($trace);

    # an answer counts when it begins to leave, anything else when it is done
    for my $call (sort { _moment($a) <=> _moment($b) } @calls) {
        my $code = $self->can("_do_$call->{call}");

        $self->$code($call) if $code;
    }

    return $self;
}


sub _moment {
    my ($call) = @_;

    return $call->{target} eq 'client' ? $call->{enter} : $call->{leave};
}


# One or two names: directory and name of an *at call.

sub _paths {
    my ($call) = @_;

    my @paths;

    while ($call->{args} =~ /(?:^|, )(?:\d+|AT_FDCWD)<([^>]*)>, "([^"]*)"/g) {
        push @paths, $2 =~ m{^/} ? $2 : "$1/$2" =~ s{/\.$}{}r;
    }

    return @paths;
}


sub _file {
    my ($call) = @_;

    my ($path) = $call->{args} =~ /^\d+<([^>]*)>/;
    return $path // '';
}


sub _text {
    my ($text) = @_;

    my %plain = (n => "\n", t => "\t", r => "\r", v => "\x0b", f => "\f");

    $text =~ s/\\(?:([0-7]{1,3})|(.))/defined $1 ? chr oct $1
                                              : $plain{$2} \/\/ $2/gse;
    return $text;
}


# Takes note of an operation on names: dirs are those whose sync makes it last.

sub _name {
    my ($self, $call, $kind, @paths) = @_;

    return if grep { $_ !~ $self->{roots} } @paths;

    my $names = $self->{names};
    my $op = { kind => $kind, paths => \@paths, at => $call->{leave},
               tid => $call->{tid},
               dirs => { map { s{/[^/]*$}{}r => 1 } @paths },
               text => join ' ', $kind, map { Crash::names($_) } @paths };

    if ($kind eq 'create') {
        return if $names->{$paths[0]};
        $op->{inode} = $names->{$paths[0]} = { data => '', synced => [],
                                                      wrote => [] };
    } elsif ($kind eq 'rename') {
        $op->{inode} = delete $names->{$paths[0]};
        $names->{$paths[1]} = $op->{inode};
    } elsif ($kind eq 'unlink') {
        $op->{inode} = delete $names->{$paths[0]};
    }

    push @{ $self->{ops} }, $op;
}


sub _do_openat {
    my ($self, $call) = @_;

    my ($path) = _paths($call);
    my $names = $self->{names};

    return unless $call->{args} =~ /\bO_CREAT\b/;
    $self->_name($call, 'create', $path);
    $self->_wrote($call, $path, sub { '' }) if $call->{args} =~ /\bO_TRUNC\b/;
}


sub _do_renameat { $_[0]->_name($_[1], 'rename', _paths($_[1])) }

sub _do_renameat2 { $_[0]->_name($_[1], 'rename', _paths($_[1])) }

sub _do_mkdirat { $_[0]->_name($_[1], 'mkdir', _paths($_[1])) }

sub _do_unlinkat { $_[0]->_name($_[1], 'unlink', _paths($_[1])) }

sub _do_rename {
    my ($self, $call) = @_;

    $self->_name($call, 'rename', $call->{args} =~ /"([^"]*)"/g);
}

sub _do_unlink {
    my ($self, $call) = @_;

    $self->_name($call, 'unlink', $call->{args} =~ /"([^"]*)"/g);
}


# The bytes of a file are what the function makes of those that were there.

sub _wrote {
    my ($self, $call, $path, $change) = @_;

    my $inode = $self->{names}{$path} or return;

    $inode->{data} = $change->($inode->{data});
    push @{ $inode->{wrote} }, [$call->{leave}, $inode->{data}];
}


sub _do_pwrite64 {
    my ($self, $call) = @_;

    return unless $self->{names}{_file($call)};

    my ($text, $offset) = $call->{args} =~ /, "(.*)", \d+, (\d+)\)?$/s
        or die "data of a write are cut: $call->{call} $call->{target}\n";

    $text = substr _text($text), 0, $call->{result};

    $self->_wrote($call, _file($call), sub {
        my ($data) = @_;

        $data .= "\0" x ($offset - length $data) if $offset > length $data;
        substr $data, $offset, length $text, $text;
        return $data;
    });
}


# Files are written from their start to their end.

sub _do_write {
    my ($self, $call) = @_;

    return unless $self->{names}{_file($call)};

    my ($text) = $call->{args} =~ /, "(.*)", \d+\)?$/s
        or die "data of a write are cut: $call->{call} $call->{target}\n";

    $text = substr _text($text), 0, $call->{result};
    $self->_wrote($call, _file($call), sub { $_[0] . $text });
}


sub _do_ftruncate {
    my ($self, $call) = @_;

    my ($size) = $call->{args} =~ /, (\d+)\)?$/;

    $self->_wrote($call, _file($call),
                  sub { substr $_[0] . "\0" x $size, 0, $size });
}


# What was written while a sync ran does not count: neither data nor names.

sub _do_fdatasync {
    my ($self, $call) = @_;

    my $inode = $self->{names}{_file($call)};

    if ($inode) {
        my ($before) = grep { $_->[0] < $call->{enter} }
                       reverse @{ $inode->{wrote} };
        push @{ $inode->{synced} }, [$call->{leave},
                                     $before ? $before->[1] : ''];
    } else {
        push @{ $self->{syncs} }, { dir => _file($call), call => $call };
    }

    push @{ $self->{ops} }, { kind => 'sync', at => $call->{leave},
                              text => "$call->{call} $call->{target}" };
}


sub _do_fsync { return _do_fdatasync(@_) }


# Acknowledgements: uploads by their id, events by the ids in their request.

sub _do_writev {
    my ($self, $call) = @_;

    return unless $call->{target} eq 'client';

    push @{ $self->{answers} }, { at => $call->{enter}, status => $1 }
        if $call->{args} =~ m{"HTTP/1\.1 ([2-5]\d\d) };
    push @{ $self->{acks} }, { at => $call->{enter}, id => $1 }
        if $call->{args} =~ m{HTTP/1\.1 201.*\\"id\\":\\"(t1-[0-9a-f]{32})}s;
    push @{ $self->{acks} }, { at => $call->{enter}, events => 1 }
        if $call->{args} =~ m{HTTP/1\.1 202};
}


sub _do_sendto { return _do_writev(@_) }


# A transaction lasts once its COMMIT is answered; it may last before.

sub _do_recvfrom {
    my ($self, $call) = @_;

    push @{ $self->{commits} }, { at => $call->{leave}, tid => $call->{tid} }
        if $call->{target} eq 'mysql COMMIT';
}


# ---- what is left at a moment

sub acks { return @{ $_[0]{acks} // [] } }

sub answers { return @{ $_[0]{answers} // [] } }

sub commits { return map { $_->{at} } @{ $_[0]{commits} // [] } }


# When the row of an upload was committed: last before its manifest went.

sub committed {
    my ($self, $id) = @_;

    my ($gone) = grep { $_->{kind} eq 'unlink'
                        && $_->{paths}[0] =~ m{/work/\Q$id\E\.info$} }
                      $self->ops or return;
    my ($last) = reverse grep { $_->{tid} == $gone->{tid}
                                && $_->{at} < $gone->{at} }
                              @{ $self->{commits} // [] };

    return $last ? $last->{at} : undef;
}

sub ops { return @{ $_[0]{ops} } }


# The directories that were synced since, among those an operation touches.

sub _lasting {
    my ($self, $op, $moment) = @_;

    return grep { my $dir = $_;
                  grep { $_->{dir} eq $dir && $_->{call}{enter} > $op->{at}
                         && $_->{call}{leave} <= $moment }
                       @{ $self->{syncs} // [] } } keys %{ $op->{dirs} };
}


# All moments worth a look: after each operation, acknowledgement and COMMIT.

sub moments {
    my ($self) = @_;

    my %at = map { $_ => 1 } map({ $_->{at} } $self->ops, $self->acks,
                                 $self->answers), $self->commits;
    my @moments = sort { $a <=> $b } keys %at;

    return @moments;
}


# What may be left at the moment, each as { text, files, digest }: what must be
# there, what may be there, and each thing that may be there alone or missing
# alone; few => 1: not these last ones.  renames => 1: of the renames that may
# be there, any that come together, too.

sub states {
    my ($self, $moment, %opt) = @_;

    my @done = grep { $_->{at} <= $moment && $_->{kind} ne 'sync' }
                    $self->ops;
    my %by = map { $_ => [$self->_lasting($done[$_], $moment)] } 0 .. $#done;
    my @all = (0 .. $#done);
    my @must = grep { @{ $by{$_} } } @all;
    my %must = map { $_ => 1 } @must;
    my @may = grep { !$must{$_} && !$opt{few} } @all;

    my $state = sub {
        my ($text, $synced, @chosen) = @_;

        return $self->_state($text, $moment, $synced,
                             map { [$done[$_], $by{$_}] } @chosen);
    };

    my @states = (
        $state->('what is synced', 1, @must),
        $state->('all names, synced data', 1, @all),
        $state->('all names and data', 0, @all),
        map({ my $i = $_;
              ($state->("what is synced, and $done[$i]{text}", 1,
                        sort { $a <=> $b } @must, $i),
               $state->("all but $done[$i]{text}", 1,
                        grep { $_ != $i } @all)) } @may),
        map({ my @kept = @$_;
              ($state->("what is synced, and of the renames "
                        . join(', ', map { $done[$_]{text} } @kept), 1,
                        sort { $a <=> $b } @must, @kept)) }
            $opt{renames} ? _subsets(grep { !$must{$_}
                                     && $done[$_]{kind} eq 'rename' } @all)
                          : ()),
    );

    my %seen;
    return grep { !$seen{$_->{digest}}++ } @states;
}


# Of two and more things, in their order.

sub _subsets {
    my (@of) = @_;

    die "too many renames that are not synced: @of\n" if @of > 10;

    return grep { @$_ > 1 }
           map { my $bits = $_; [grep { defined } map { $bits >> $_ & 1
                                ? $of[$_] : undef } 0 .. $#of] }
           0 .. 2 ** @of - 1;
}


sub _state {
    my ($self, $text, $moment, $synced, @chosen) = @_;

    my %names = %{ $self->{origin} };
    my %dirs = map { $_ => 1 } map { $self->_folders($_) } keys %names;

    for (@chosen) {
        my ($op, $by) = @$_;
        my ($from, $to) = @{ $op->{paths} };

        if ($op->{kind} eq 'mkdir') {
            $dirs{$from} = 1;
            next;
        }

        # what a directory names exists once the directory has its own name;
        # a change that another one's sync has saved, with all before it
        my $here = ($to // $from) =~ s{/[^/]*$}{}r;
        $dirs{$_} = 1 for grep { !@$by || grep { $_ ne $here } @$by }
                          $self->_folders($to // $from);

        if ($op->{kind} eq 'unlink') {
            delete $names{$from} if ($names{$from} // 0) == $op->{inode};
            next;
        }

        delete @names{ grep { $names{$_} == $op->{inode} } keys %names };
        $names{$to // $from} = $op->{inode};
    }

    my %files;

    for my $path (keys %names) {
        next if grep { !$dirs{$_} } $self->_folders($path);

        my ($last) = grep { $_->[0] <= $moment }
            reverse @{ $names{$path}{$synced ? 'synced' : 'wrote'} };
        $files{$path} = $last ? $last->[1] : '';
    }

    return { text => $text, files => \%files, digest => sha256_hex(join "\0",
             map { ($_, $files{$_}) } sort keys %files) };
}


# The folders of a file that are made by need: those below the store.

sub _folders {
    my ($self, $path) = @_;

    my (undef, $store) = _roots();

    return unless $path =~ m{^\Q$store\E/(.+)/[^/]+$};

    my $folder = $store;
    return map { $folder .= "/$_" } split m{/}, $1;
}


# Puts the state where spool and store are, as of another boot.

sub lay {
    my ($self, $state) = @_;

    my $boot = Spool::boot_id();
    my $other = '0' x 8 . substr $boot, 8;

    my ($spool, $store) = _roots();

    unlink files_below($spool, qr/./);
    remove_tree($store, { keep_root => 1 });

    for my $path (keys %{ $state->{files} }) {
        make_path($path =~ s{/[^/]*$}{}r);
        Exam::spew($path =~ s/\Q$boot\E/$other/gr,
                   $state->{files}{$path} =~ s/\Q$boot\E/$other/gr);
    }
}


1;
