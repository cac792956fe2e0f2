# One student: flags that reach Redis, forced logout, and the listings of
# students and recordings.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use JSON::PP ();
use Test::More;

stack();

my $dir = dir();

ok_ctl('exam', 'create', 30, '--title', 'x');
ok_ctl('roster', 'generate', 30, '--count', 3, '--codes', "$dir/codes.csv");
ok_ctl('exam', 'open', 30);

sub flags { return JSON::PP->new->decode(redis('HGET', key(30, 'flags'), @_)) }

sub yes { return $_[0] ? JSON::PP::true : JSON::PP::false }

my %none = map { $_ => yes(0) } qw(suspended locked paused finish);


# ---- student set

{
    my $version = member(30)->{version};

    is(redis('HLEN', key(30, 'flags')), 0, 'no flags yet');

    ok_ctl('student', 'set', 30, 's001', '--suspended', 'yes');
    is_deeply(flags('s001'), { %none, suspended => yes(1), extra_s => 0 },
              'suspended, in Redis');
    is(redis('HGET', key(30, 'flags'), 's001'),
       '{"suspended":true,"locked":false,"paused":false,"extra_s":0,'
       . '"finish":false}', 'in the form that all programs write');

    cmp_ok(member(30)->{version}, '>', $version, 'the version rises');
    is(member(30)->{version}, value("SELECT version FROM exams"),
       'as in MySQL');
    is(redis('HGET', key(30, 'roster'), '_v'), $version,
       'the roster is not written again');

    ok_ctl('student', 'set', 30, 's001', '--extra', 600);
    is_deeply(flags('s001'), { %none, suspended => yes(1), extra_s => 600 },
              'more time; what was not given stays');

    ok_ctl('student', 'set', 30, 's001', '--suspended', 'no', '--extra', 0);
    is_deeply(flags('s001'), { %none, extra_s => 0 }, 'back again');

    ok_ctl('student', 'set', 30, 's002', '--extra', 604800);
    is_deeply([sql('SELECT student, suspended, extra_s FROM students '
                   . 'ORDER BY student')],
              [['s001', 0, 0], ['s002', 0, 604800], ['s003', 0, 0]],
              'what MySQL has');

    fails(3, qr/no student "s009" in exam "30"/, 'student', 'set', 30, 's009',
          '--extra', 1);
    fails(3, qr/no student "S001"/, 'student', 'set', 30, 'S001', '--extra',
          1);
    fails(3, qr/no exam "99"/, 'student', 'set', 99, 's001', '--extra', 1);
}


# ---- what Redis has lost or missed is loaded whole with the next change

{
    # a change of the roster that never reached Redis
    sql("UPDATE exams SET version = version + 1");
    sql("UPDATE students SET suspended = 1, name = 'N' WHERE student = 's003'");

    ok_ctl('student', 'set', 30, 's001', '--extra', 5);
    is_deeply(flags('s003'), { %none, suspended => yes(1), extra_s => 0 },
              'the flag of another student');
    like(redis('HGET', key(30, 'roster'), 's003'), qr/"name":"N"/,
         'and the roster');

    # flags that Redis has and MySQL has not
    redis('HSET', key(30, 'flags'), 's009', '{}');
    ok_ctl('exam', 'open', 30);
    is_deeply([sort @{ redis('HKEYS', key(30, 'flags')) }],
              [qw(s001 s002 s003)], 'stale ones go');

    redis('DEL', key(30), key(30, 'roster'), key(30, 'flags'));
    ok_ctl('exam', 'pause', 30);
    is(redis('HLEN', key(30, 'roster')), 4, 'an emptied exam is loaded whole');
    is(member(30)->{state}, 'open', 'its settings too');
    ok_ctl('exam', 'resume', 30);

    ok_ctl('student', 'set', 30, 's003', '--suspended', 'no');
}

my $events = redis('XRANGE', key(30, 'changes'), '-', '+');

my @told = map { my %e = @{ $_->[1] }; "$e{op} " . ($e{student} // '') }
               @{ redis('XRANGE', key(30, 'control'), '-', '+') };

is_deeply([@told[0 .. 4]],
          ['exam ', 'roster ', 'exam ', 'roster ', 'exam '],
          'nodes are told: the exam is created, has a roster, is open');
is_deeply([@told[5 .. 9]], ['roster ', map { "exam s00$_" } 1, 1, 1, 2],
          'one student after the other');

ok(@$events > 0 && !grep({ my %e = @{ $_->[1] };
                           $e{type} !~ /\A(?:flags|exam)\z/ } @$events),
   'changes are in the stream for live views');


# ---- logout

{
    fails(5, qr/Redis/, 'logout', 30, 's001', { config =>
          spew("$dir/none.ini", ini(redis => { socket => "$dir/none" })) });
    fails(3, qr/no active session of student "s001"/, 'logout', 30, 's001');

    my $sid = 'ab' x 16;
    redis('HSET', key(30, 'sessions'), 's001',
          "{\"sid\":\"$sid\",\"gen\":7,\"node\":\"n7\",\"ip\":\"10.0.0.1\","
          . "\"login_at\":5,\"ended\":\"\"}");

    # a Redis that nobody has loaded takes no logout
    fails(5, qr/Redis: redis has not been loaded/, 'logout', 30, 's001');

    redis('SET', 'exam:loaded', 'test');
    ok_ctl('logout', 30, 's001');

    my $session = JSON::PP->new->decode(redis('HGET', key(30, 'sessions'),
                                              's001'));
    is_deeply($session, { sid => $sid, gen => 7, node => 'n7',
                          ip => '10.0.0.1', login_at => 5,
                          ended => 'forced' }, 'the session is ended');

    my $last = redis('XREVRANGE', key(30, 'control'), '+', '-', 'COUNT', 1);
    is_deeply($last->[0][1], ['op', 'end', 'student', 's001', 'session', $sid,
                              'reason', 'forced'], 'and nodes are told');

    fails(3, qr/no active session/, 'logout', 30, 's001');
    is(value("SELECT COUNT(*) FROM audit_log WHERE action = 'student.logout' "
             . "AND student = 's001'"), 1, 'it is in the audit log');

    redis('HSET', key(30, 'sessions'), 's002', 'garbage');
    fails(3, qr/no active session/, 'logout', 30, 's002');

    redis('HSET', key(30, 'sessions'), 's002',
          "{\"sid\":\"$sid\",\"gen\":7,\"ended\":\"\"}");
    my $got = ctl('logout', 30, 's002', { config =>
                  spew("$dir/nodb.ini", ini(mysql => { socket => "$dir/none" }))
              });
    is($got->{rc}, 0, 'logout works while MySQL is away');
    like($got->{err}, qr/no audit row/, 'and says what is missing');
}


# ---- students

{
    my $all = json_ctl('students', 30)->{students};

    is_deeply($all->[1], { id => 's002', name => 'Candidate 002', seat => '',
                           group => '', extra_s => 604800, %none },
              'students --json');
    is(scalar @$all, 3, 'three');
    unlike(ok_ctl('students', 30), qr/code/i, 'nothing of codes');
    like(ok_ctl('students', 30), qr/^s002 +no +no +no +no +604800/m,
         'as text');
    fails(3, qr/no exam "99"/, 'students', 99);

    ok_ctl('exam', 'create', 'e', '--title', 'x');
    is_deeply(json_ctl('students', 'e'), { students => [] }, 'none');
    is_deeply(json_ctl('recordings', 'e'), { recordings => [] }, 'none');
}


# ---- recordings

{
    sql("INSERT INTO recordings (upload_id, exam, student, session, kind, n, "
        . "bytes, sha256, content_type, received_at, stored_at, node, store, "
        . "path, container, video_codec, width, height, media_ms, playable) "
        . "VALUES "
        . "('t1-1', '30', 's002', REPEAT('a', 32), 'screen', 0, 5000000000, "
        . "REPEAT('x', 32), 'video/webm', 1, 2, 't1', 'local', 'a', 'webm', "
        . "'vp8', 640, 480, 2000, 1),"
        . "('t1-2', '30', 's001', REPEAT('b', 32), 'camera', 0, 1, "
        . "REPEAT('y', 32), 'video/webm', 1, 2, 't1', 'local', 'b', NULL, "
        . "NULL, NULL, NULL, NULL, NULL)");

    my $all = json_ctl('recordings', 30)->{recordings};

    is_deeply([map { $_->{student} } @$all], ['s001', 's002'], 'recordings');
    is($all->[1]{sha256}, '78' x 32, 'the hash in hex');
    is($all->[1]{bytes}, 5000000000, 'a size of more than 32 bits');
    is_deeply([@{ $all->[0] }{qw(video_codec width playable media_ms)}],
              [undef, undef, undef, undef], 'NULL is null');
    ok($all->[1]{playable}, 'playable is true');
    is($all->[0]{path}, 'b', 'where it lies');

    is_deeply([map { $_->{upload_id} }
                   @{ json_ctl('recordings', 30, '--student', 's002')
                          ->{recordings} }], ['t1-1'], 'of one student');
    is_deeply(json_ctl('recordings', 30, '--student', 's003'),
              { recordings => [] }, 'of one without any');
    fails(2, qr/bad student id/, 'recordings', 30, '--student', '../x');
    fails(3, qr/no student "zed" in exam "30"/, 'recordings', 30, '--student',
          'zed');
    fails(3, qr/no exam "99"/, 'recordings', 99);
    like(ok_ctl('recordings', 30), qr/vp8/, 'as text');
    is(json_ctl('exam', 'show', 30)->{recordings}, 2, 'exam show counts');

    sql("UPDATE recordings SET student = 'gone' WHERE upload_id = 't1-2'");
    is_deeply([map { $_->{upload_id} }
                   @{ json_ctl('recordings', 30, '--student', 'gone')
                          ->{recordings} }], ['t1-2'],
              'of one who is not in the roster any more');
}

ok_ctl('exam', 'close', 30);
ok_ctl('exam', 'archive', 30);
fails(4, qr/is archived/, 'student', 'set', 30, 's001', '--extra', 1);

done_testing();
