# Commands: what is refused and with which code, what a command leaves behind
# in MySQL and Redis, whom it goes to, idempotency, cancelling, Redis and MySQL
# away, a sender that is killed on the way.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use JSON::PP ();
use Test::More;

stack();

my $dir = dir();
my $json = JSON::PP->new->canonical;
my $noredis = spew("$dir/noredis.ini", ini(redis => { socket => 'none' }));
my $nomysql = spew("$dir/nomysql.ini", ini(mysql => { socket => 'none' }));

ok_ctl('exam', 'create', 30, '--title', 'x');
spew("$dir/in.csv", join '', "student,name,code,group\n", map {
    sprintf "s%03d,N,,%s\n", $_, $_ <= 2 ? 'g1' : $_ <= 4 ? 'g2' : ''
} 1 .. 6);
ok_ctl('roster', 'import', 30, "$dir/in.csv", '--codes', "$dir/codes.csv");
ok_ctl('exam', 'open', 30);

my $last = '-';

# the entries of the control stream since the last call, as hashes

sub entries {
    my ($exam) = @_;

    my @entries = @{ redis('XRANGE', key($exam // 30, 'control'),
                           $last eq '-' ? '-' : "($last", '+') };
    $last = $entries[-1][0] if @entries;
    return map { { @{ $_->[1] } } } @entries;
}

sub send_ok { return json_ctl('command', 'send', 30, @_) }

sub flags {
    return $json->decode(redis('HGET', key(30, 'flags'), $_[0]) // '{}');
}

sub row {
    my ($id) = @_;
    my ($row) = sql("SELECT target, type, payload, reason, "
                    . "expires_at - issued_at, canceled_at IS NOT NULL, "
                    . "announced_at IS NOT NULL FROM commands "
                    . "WHERE id = $id");
    return $row;
}

sub deliveries {
    return { map { @$_ } sql("SELECT student, state FROM deliveries WHERE "
                             . "command = $_[0]") };
}

entries();


# ---- what is refused, and nothing is done

{
    my $version = value('SELECT version FROM exams');
    my @to = ('--to', 's001');
    my $text = sub { '{"text":"' . $_[0] . '"}' };

    for (
        [2, 'bad_type', @to, '--type', 'explode'],
        [2, 'bad_target', '--to', 'a b', '--type', 'lock'],
        [2, 'bad_target', '--to', 'group:', '--type', 'lock'],
        [2, 'bad_target', '--to', '', '--type', 'lock'],
        [2, 'bad_payload', @to, '--type', 'message'],
        [2, 'bad_payload', @to, '--type', 'message', '--payload', '{}'],
        [2, 'bad_payload', @to, '--type', 'message', '--payload', '{"text":1}'],
        [2, 'bad_payload', @to, '--type', 'message', '--payload', $text->('')],
        [2, 'bad_payload', @to, '--type', 'message', '--payload',
         $text->('x' x 1001)],
        [2, 'bad_payload', @to, '--type', 'message', '--payload',
         '{"text":"x","more":"' . 'x' x 2040 . '"}'],
        [2, 'bad_payload', @to, '--type', 'message', '--payload',
         '{"text":"x"'],
        [2, 'bad_payload', @to, '--type', 'message', '--payload',
         "{\"text\":\"\xff\"}"],
        [2, 'bad_payload', @to, '--type', 'lock', '--payload', '[]'],
        [2, 'bad_payload', @to, '--type', 'extra_time', '--payload', '{}'],
        map({ [2, 'bad_payload', @to, '--type', 'extra_time', '--payload',
               "{\"seconds\":$_}"] } 0, 86401, -86401, 1.5, '"5"'),
        [2, 'bad_expires', @to, '--type', 'lock', '--expires', '0s'],
        [2, 'bad_expires', @to, '--type', 'lock', '--expires', '25h'],
        [2, 'bad_expires', @to, '--type', 'lock', '--expires', 'soon'],
        [2, 'bad_reason', @to, '--type', 'lock', '--reason', 'x' x 256],
        [2, 'bad_reason', @to, '--type', 'lock', '--reason', "\xff"],
        [2, 'bad_key', @to, '--type', 'lock', '--key', 'k' x 65],
        [2, 'bad_key', @to, '--type', 'lock', '--key', 'a b'],
        [3, 'student_not_found', '--to', 's009', '--type', 'lock'],
        [3, 'student_not_found', '--to', 'S001', '--type', 'lock'],
        [3, 'student_not_found', '--to', 'student:all', '--type', 'lock'],
        [3, 'group_empty', '--to', 'group:g9', '--type', 'lock'],
        [4, 'exam_not_paused', '--to', 'all', '--type', 'resume'],
    ) {
        my ($rc, $code, @args) = @$_;

        fails($rc, qr/examctl: \Q$code\E: /, 'command', 'send', 30, @args);
    }

    fails(3, qr/exam_not_found: no exam "99"/, 'command', 'send', 99, @to,
          '--type', 'lock');
    fails(2, qr/--to is missing/, 'command', 'send', 30, '--type', 'lock');
    fails(2, qr/--type is missing/, 'command', 'send', 30, @to);

    ok_ctl('exam', 'create', 'empty', '--title', 'x');
    fails(3, qr/exam_empty: /, 'command', 'send', 'empty', '--to', 'all',
          '--type', 'finish');

    is_deeply([map { value("SELECT COUNT(*) FROM $_") }
                   qw(commands deliveries)], [0, 0], 'nothing is written');
    is(value("SELECT COUNT(*) FROM audit_log WHERE action LIKE 'command%'"), 0,
       'nor into the audit log');
    is(value("SELECT version FROM exams WHERE id = '30'"), $version,
       'the version is the old one');
    is_deeply([entries()], [], 'nodes are told nothing');
}


# ---- a message

my $first;

{
    my $version = value("SELECT version FROM exams WHERE id = '30'");
    my $payload = "{ \"text\":\"\xe4\xbd\xa0\xe5\xa5\xbd\" }";
    my $got = send_ok('--to', 's002', '--type', 'message', '--payload',
                      $payload, '--reason', "noise \xc3\xbc");

    $first = $got->{id};

    is_deeply($got, { id => $first, students => 1,
                      repeated => JSON::PP::false,
                      announced => JSON::PP::true }, 'send --json');
    is_deeply(row($first), ['{"student":"s002"}', 'message', $payload,
                            "noise \xc3\xbc", 300000, 0, 1],
              'the command, for 5 minutes, announced');
    is_deeply(deliveries($first), { s002 => 'queued' }, 'its delivery');
    is_deeply([entries()], [{
        op => 'send', id => $first, type => 'message', payload => $payload,
        expires_at => value("SELECT expires_at FROM commands"), to => 'list',
        students => 's002' }], 'nodes are told');
    is_deeply([map { $_->[0] } redis('XRANGE', key(30, 'control'), $last,
                                     $last)->[0][1]], ['op'],
              'op comes first');
    is(value("SELECT version FROM exams WHERE id = '30'"), $version,
       'a message changes no settings');

    my ($audit) = sql("SELECT actor LIKE 'examctl:%', student, detail FROM "
                      . "audit_log WHERE action = 'command.send'");
    is_deeply($audit, [1, 's002', "command=$first type=message to=s002"],
              'the audit row');

    send_ok('--to', 'all', '--type', 'message', '--payload',
            '{"text":"' . "\xc3\xbc" x 1000 . '"}');
    entries();
}


# ---- lasting effects

sub effect {
    my ($name, $to, $type, $payload, $want) = @_;

    my $before = member(30);
    my $got = send_ok('--to', $to, '--type', $type,
                      defined $payload ? ('--payload', $payload) : ());
    my @entries = entries();

    is($entries[-1]{op} . $entries[-1]{id}, "send$got->{id}",
       "$name: the command is announced behind its effect");
    is($entries[0]{op}, 'exam', "$name: after nodes were told of the flags");
    is(member(30)->{version}, value("SELECT version FROM exams WHERE "
                                    . "id = '30'"),
       "$name: Redis shows the new version");
    cmp_ok(member(30)->{version}, '>', $before->{version},
           "$name: the version rises");

    $want->();

    my %shown = map { $_ => flags($_) } map { "s00$_" } 1 .. 6;

    is_deeply([sort(map { join ' ', $_, map { $_ ? 1 : 0 }
                          @{ $shown{$_} }{qw(locked paused finish)} }
                        keys %shown)],
              [map { join ' ', @$_ }
                   sql("SELECT student, locked, paused, finish FROM students "
                       . "ORDER BY student")], "$name: Redis has all flags");
    is_deeply([map { $shown{$_}{extra_s} // 0 } sort keys %shown],
              [map { $_->[0] } sql("SELECT extra_s FROM students "
                                   . "ORDER BY student")],
              "$name: and the extra time");

    return @entries;
}

sub students { return join ' ', map { @$_ } sql("SELECT student FROM students "
    . "WHERE exam = '30' AND $_[0] ORDER BY student") }

{
    my @e = effect('lock one', 's001', 'lock', undef, sub {
        is(students('locked'), 's001', 'locked') });
    is($e[0]{student}, 's001', 'whom the settings are of');

    @e = effect('lock a group', 'group:g2', 'lock', undef, sub {
        is(students('locked'), 's001 s003 s004', 'the group too') });
    is("$e[-1]{to} $e[-1]{students}", 'list s003 s004', 'its members');
    is($e[0]{student}, undef, 'flags of several');

    effect('unlock all', 'all', 'unlock', undef, sub {
        is(students('locked'), '', 'nobody') });
    effect('finish', 'group:g1', 'finish', undef, sub {
        is(students('finish'), 's001 s002', 'finished') });
    effect('time', 's001', 'extra_time', '{"seconds":600}', sub {
        is(students('extra_s = 600'), 's001', 'more time') });
    effect('more time', 'group:g1', 'extra_time', '{"seconds":-100}', sub {
        is(students('extra_s = 500') . students('extra_s = -100'), 's001s002',
           'it is added') });

    my @all = effect('time to all', 'all', 'extra_time', '{"seconds":60}',
        sub { is(students('extra_s = 60'), 's003 s004 s005 s006', 'all') });
    is($all[-1]{to}, 'all', 'to all');
    ok(!exists $all[-1]{students}, 'without a list');

    sql("UPDATE students SET extra_s = 604799 WHERE student = 's006'");
    fails(4, qr/extra_limit: /, 'command', 'send', 30, '--to', 'all',
          '--type', 'extra_time', '--payload', '{"seconds":60}');
    is(students('extra_s = 60'), 's003 s004 s005', 'nobody has got it');
    sql("UPDATE students SET extra_s = 60 WHERE student = 's006'");
}

# the exam's own pause
{
    ok_ctl('exam', 'close', 30);
    fails(4, qr/exam_not_open: exam "30" is closed/, 'command', 'send', 30,
          '--to', 'all', '--type', 'pause');
    ok_ctl('exam', 'open', 30);
    entries();

    my @e = effect('pause all', 'all', 'pause', undef, sub {
        cmp_ok(member(30)->{paused_at}, '>', 0, 'the exam is paused');
        is(students('paused'), '', 'and no student alone') });
    is($e[0]{student}, undef, 'settings of the exam');
    fails(4, qr/exam_paused: /, 'command', 'send', 30, '--to', 'all',
          '--type', 'pause');
    sql("UPDATE exams SET paused_at = paused_at - 60000 WHERE id = '30'");
    effect('resume all', 'all', 'resume', undef, sub {
        is(member(30)->{paused_at}, 0, 'it goes on');
        cmp_ok(member(30)->{pause_ms}, '>=', 60000, 'and ends later') });
}

# the pause of one student is added to this student's end
{
    my $extra = value("SELECT extra_s FROM students WHERE student = 's005'");

    effect('pause one', 's005', 'pause', undef, sub {
        is(students('paused'), 's005', 'paused') });

    # since 100 s, 40 of them for all; a second pause is the same one
    sql("UPDATE students SET paused_from = paused_from - 100000 WHERE paused");
    effect('pause again', 's005', 'pause', undef, sub { });
    sql("UPDATE exams SET pause_ms = pause_ms + 40000 WHERE id = '30'");
    effect('resume one', 's005', 'resume', undef, sub {
        is(students('paused'), '', 'goes on');
        my $now = value("SELECT extra_s FROM students "
                        . "WHERE student = 's005'");
        ok($now - $extra >= 60 && $now - $extra < 80,
           'its time is added, without that of all') or diag($now - $extra) });
    effect('resume again', 'group:g2', 'resume', undef, sub {
        is(students('extra_s = 60'), 's003 s004 s006', 'adds nothing') });

    # a new end of the exam is the end: pauses until now do not count
    send_ok('--to', 's005', '--type', 'pause');
    sql("UPDATE students SET paused_from = 1 WHERE paused");
    sql("UPDATE students SET extra_s = 0 WHERE student = 's005'");
    ok_ctl('exam', 'open', 30, '--ends', '+2h');
    send_ok('--to', 's005', '--type', 'resume');
    cmp_ok(value("SELECT extra_s FROM students WHERE student = 's005'"), '<',
           60, 'as with the pause of the exam');
    entries();
}


# ---- the same key

{
    my @args = ('--to', 's001', '--type', 'extra_time', '--payload',
                '{"seconds":5}', '--key', 'k-1');
    my $before = value("SELECT extra_s FROM students WHERE student = 's001'");
    my $one = send_ok(@args);
    my $two = send_ok(@args);

    is($two->{id}, $one->{id}, 'the first id');
    ok($two->{repeated}, 'is said to be');
    is(value("SELECT extra_s FROM students WHERE student = 's001'"),
       $before + 5, 'time is added once');
    is(scalar(grep { $_->{op} eq 'send' } entries()), 1, 'announced once');

    # another command under that key was never meant to be this one
    for my $other (['--to', 's002', @args[2 .. 7]],
                   [@args[0 .. 4], '{"seconds":6}', @args[6, 7]],
                   [@args[0, 1], '--type', 'lock', @args[6, 7]])
    {
        fails(4, qr/key_reused: .* command $one->{id}/, 'command', 'send', 30,
              @$other);
    }

    is(value("SELECT COUNT(*) FROM students WHERE locked AND "
             . "student = 's001'"), 0, 'and nothing was done');

    # several at once
    $args[-1] = 'k-2';
    my @pids = map {
        my $pid = fork // die;

        if ($pid == 0) {
            my $got = ctl('command', 'send', 30, @args, '--json');
            spew("$dir/at.$_", "$got->{rc} $got->{out}$got->{err}");
            POSIX::_exit(0);
        }

        $pid;
    } 1 .. 6;

    waitpid $_, 0 for @pids;

    my %ids = map { (slurp("$dir/at.$_") =~ /\A0 \{"id":(\d+)/)[0] // 'none'
                    => 1 } 1 .. 6;
    is(scalar keys %ids, 1, 'six at the same time: one id') or diag(%ids);
    is(value("SELECT extra_s FROM students WHERE student = 's001'"),
       $before + 10, 'once more time');
    is(scalar(grep { $_->{op} eq 'send' } entries()), 1, 'one announcement');

    $args[-1] = 'k-1';
    ok_ctl('exam', 'create', 31, '--title', 'x');
    ok_ctl('roster', 'generate', 31, '--count', 1, '--codes', "$dir/c31.csv");
    my $other = json_ctl('command', 'send', 31, @args);
    isnt($other->{id}, $one->{id}, 'a key is of its exam');
}


# ---- cancel

{
    my $id = send_ok('--to', 'group:g1', '--type', 'upload_now', '--expires',
                     '90s')->{id};
    entries();

    ok_ctl('command', 'cancel', $id);
    is_deeply([entries()], [{ op => 'cancel', id => $id }], 'nodes are told');
    is_deeply([@{ row($id) }[4 .. 6]], [90000, 1, 1], 'cancelled, announced');
    is(value("SELECT detail FROM audit_log WHERE action = 'command.cancel'"),
       "command=$id", 'the audit row');
    fails(4, qr/command_over: /, 'command', 'cancel', $id);
    fails(3, qr/command_not_found: no command 999999/, 'command', 'cancel',
          999999);
    fails(2, qr/is a number/, 'command', 'cancel', $_) for 'x', 0, '1.5';

    $id = send_ok('--to', 's001', '--type', 'upload_now')->{id};
    sql("UPDATE commands SET expires_at = issued_at WHERE id = $id");
    fails(4, qr/command_over: /, 'command', 'cancel', $id);
    entries();
}


# ---- show and list

{
    my $id = send_ok('--to', 'group:g1', '--type', 'message', '--payload',
                     '{"text":"hi"}', '--reason', 'r "1"')->{id};

    sql("UPDATE deliveries SET state = 'confirmed', confirmed_at = 5, "
        . "sent_at = 4, session = REPEAT('a', 32) WHERE command = $id AND "
        . "student = 's002'");

    my $show = json_ctl('command', 'show', $id);

    is_deeply([@$show{qw(queued sent confirmed expired)}], [1, 0, 1, 0],
              'counts');
    is_deeply($show->{target}, { group => 'g1' }, 'the target');
    is_deeply($show->{payload}, { text => 'hi' }, 'the payload');
    is_deeply([@$show{qw(id exam type reason canceled_at)}],
              [$id, '30', 'message', 'r "1"', undef], 'the rest');
    is_deeply($show->{students}, [
        { student => 's001', state => 'queued', sent_at => undef,
          confirmed_at => undef, session => '' },
        { student => 's002', state => 'confirmed', sent_at => 4,
          confirmed_at => 5, session => 'a' x 32 } ], 'student by student');

    like(ok_ctl('command', 'show', $id),
         qr/^confirmed +1\n.*^s001 +queued +- .*^s002 +confirmed +1970/ms,
         'as text');

    my $all = json_ctl('command', 'show', 'exam:30')->{commands};
    is(scalar @$all, value("SELECT COUNT(*) FROM commands WHERE exam = '30'"),
       'all of an exam');
    is_deeply($all->[-1], $show, 'each of them whole');

    my $list = json_ctl('command', 'list', 30)->{commands};
    delete $show->{students};
    is_deeply($list->[-1], $show, 'a list without students');
    like(ok_ctl('command', 'list', 30), qr/^$id +30 +message/m, 'as text');

    is_deeply(json_ctl('command', 'list', 'empty'), { commands => [] },
              'none');
    is_deeply(json_ctl('command', 'show', 'empty'), { commands => [] },
              'none to show');

    # an exam whose id is the number of a command
    ok_ctl('exam', 'create', $id, '--title', 'x');
    is(json_ctl('command', 'show', $id)->{id}, $id, 'a number is a command');
    is_deeply(json_ctl('command', 'show', "exam:$id"), { commands => [] },
              'unless it is said to be an exam');

    fails(3, qr/command_not_found/, 'command', 'show', 999999);
    fails(3, qr/exam_not_found/, 'command', 'show', 'nix');
    fails(3, qr/exam_not_found/, 'command', 'list', 'nix');
    fails(2, qr/neither/, 'command', 'show', '../x');
    entries();
}


# ---- away

{
    fails(5, qr/MySQL: /, 'command', @$_, { config => $nomysql })
        for ['send', 30, '--to', 'all', '--type', 'lock'], ['show', 1],
            ['cancel', 1], ['list', 30];

    my $got = fails(5, qr/is in MySQL, but Redis does not have it .*announce/,
                    'command', 'send', 30, '--to', 's003', '--type', 'lock',
                    '--json', { config => $noredis });
    my $id = $json->decode($got->{out})->{id};

    ok(!$json->decode($got->{out})->{announced}, 'it is not announced');
    is(row($id)->[6], 0, 'as MySQL knows');
    is(students('locked'), 's003', 'its effect stands');
    is_deeply([entries()], [], 'nodes know nothing');

    # its sender tries again
    my @again = ('command', 'send', 30, '--to', 's004', '--type', 'lock',
                 '--key', 'again');
    fails(5, qr/Redis does not have it/, @again, { config => $noredis })
        for 1, 2;
    $got = json_ctl(@again);
    ok($got->{repeated} && $got->{announced}, 'sent again, it is announced');
    ok(flags('s004')->{locked}, 'its effect is shown');
    is_deeply([map { $_->{op} } entries()], ['exam', 'roster', 'send'],
              'once');

    $got = fails(5, qr/Redis does not have it/, 'command', 'cancel', $first,
                 { config => $noredis });
    is_deeply([@{ row($first) }[5, 6]], [1, 0],
              'a cancelled one is to be announced again');
}


# ---- five thousand

{
    ok_ctl('exam', 'create', 'big', '--title', 'x');
    ok_ctl('roster', 'generate', 'big', '--count', 5000, '--codes',
           "$dir/big.csv");
    ok_ctl('exam', 'open', 'big');
    $last = '-';
    entries('big');

    my $got = json_ctl('command', 'send', 'big', '--to', 'all', '--type',
                       'lock');
    is($got->{students}, 5000, 'five thousand are locked');
    is(redis('HLEN', key('big', 'flags')), 5000, 'in Redis too');
    is_deeply([map { $_->{op} } entries('big')], ['exam', 'send'],
              'nodes are told in two entries');
    is(value("SELECT COUNT(*) FROM deliveries WHERE command = $got->{id} AND "
             . "state = 'queued'"), 5000, 'each has a delivery');
    is(json_ctl('command', 'show', $got->{id})->{queued}, 5000, 'counted');

    sql("UPDATE students SET group_name = 'half' WHERE exam = 'big' AND "
        . "student <= 's2500'");
    json_ctl('command', 'send', 'big', '--to', 'group:half', '--type',
             'upload_now');

    my @e = entries('big');
    is(scalar @e, 13, 'a list of 2,500: entries of 200');
    is_deeply([map { $_->{students} =~ tr/ // + 1 } @e], [(200) x 12, 100],
              'students');
    is(join(' ', map { $_->{students} } @e),
       join(' ', map { sprintf 's%04d', $_ } 1 .. 2500), 'each of them once');
}

ok_ctl('exam', 'close', 30);
ok_ctl('exam', 'archive', 30);
fails(4, qr/exam_archived: /, 'command', 'send', 30, '--to', 'all', '--type',
      'finish');

done_testing();
