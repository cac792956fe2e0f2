# An incomplete upload whose number is given up, or comes by PUT, by a form or
# on another node: it ends, its place is free, and nothing that was acknowledged
# is touched.  And what is told while the places are taken.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);
use Fcntl qw(:flock);

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Trace;
use Exam::Tus;
use Exam::Wire;

my @limits = (exam_kind_uploads => '2', exam_file_uploads => '2');
my $one = node_at('n1', workers => 2, @limits);
my $two = node_at('n2', workers => 2, @limits);
my $type = 'application/offset+octet-stream';
my $path = '/api/v1/recordings';
my $students = 0;

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 30 });

sub candidate {
    my (%opt) = @_;

    my $student = $opt{student} // sprintf 'S%03d', ++$students;
    my $tus = Exam::Tus->new(($opt{at} // $one)->nginx, %opt,
                             student => $student);
    $tus->{student} = $student;
    return $tus;
}

sub segment {
    my ($n, @more) = @_;

    return ('Upload-Metadata' => Exam::Tus::metadata(
        kind => 'screen', n => $n, filetype => 'video/webm', @more));
}

sub put {
    my ($tus, $n, $body, $at) = @_;

    return ($at // $one)->req('PUT', "$path/screen/$n",
        { Authorization => "Bearer $tus->{token}",
          'Content-Type' => 'video/webm' }, $body);
}

sub form {
    my ($tus, $n, $body) = @_;

    my $part = '--b' . "\r\nContent-Disposition: form-data; name=";

    return $one->req('POST', $path,
        { Authorization => "Bearer $tus->{token}",
          'Content-Type' => 'multipart/form-data; boundary=b' },
        qq{$part"kind"\r\n\r\nscreen\r\n$part"n"\r\n\r\n$n\r\n}
        . qq{$part"file"; filename="a"\r\nContent-Type: video/webm\r\n\r\n}
        . "$body\r\n--b--\r\n");
}

sub lost {
    my ($tus, $n, $at) = @_;

    return ($at // $one)->post("$path/screen/$n/lost", { reason => 'x' },
                               $tus->{token});
}

sub look {
    my ($tus, $n) = @_;
    return $one->get("$path/screen/$n", $tus->{token})->{json};
}

sub sets {
    my ($tus, $at) = @_;

    return ($at // $one)->me($tus->{token})->{json}{sessions}[0]{segments}
        {screen};
}

sub files {
    my ($url) = @_;
    my ($id, $hex) = $url =~ m{/([^/]+-(..)[^/]+)\z};

    return join ' ', map { m{\.(\w+)\z} }
                     sort glob "$one->{spool}/part/$hex/$id.*";
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 20;
}

# its places are all free: as many as there are can be taken

sub two_free {
    my ($tus, $n, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for ($n, $n + 1) {
        my $res = $tus->post({ 'Upload-Length' => 5, segment($_) });

        is $res->{status}, 201, "$name: a place for $_";
        $tus->delete(Exam::Tus::path($res));
    }
}

# A PATCH whose body stops after some bytes; the server has asked for it.

sub hanging {
    my ($tus, $url, $body, $length) = @_;

    my $wire = Exam::Wire->new($one->nginx);

    $wire->head('PATCH', $url, $tus->fields('Upload-Offset' => 0,
        'Content-Type' => $type, 'Content-Length' => $length,
        Expect => '100-continue'));
    is $wire->response(interim => 1)->{status}, 100, 'a body is asked for';
    $wire->send($body);

    return $wire;
}


subtest 'lost: its incomplete upload is gone' => sub {
    my $tus = candidate();
    my $url = $tus->create(11, segment(0));

    is $tus->patch($url, 0, 'hello')->{status}, 204, 'some bytes';
    is_deeply sets($tus)->{receiving}, [[0, 0]], 'it is on its way';

    my $res = lost($tus, 0);
    is $res->{status}, 200, 'given up';
    is $res->{json}{state}, 'lost', 'it is lost';

    is files($url), 'gone', 'its bytes are removed';
    is $tus->head($url)->{status}, 410, 'HEAD';
    is_problem $tus->patch($url, 5, ' world'), 410, 'upload_gone', 'PATCH';
    is_deeply sets($tus)->{lost}, [[0, 0]], 'me: lost';
    is_deeply sets($tus)->{receiving}, [], 'me: not on its way';
    is look($tus, 0)->{state}, 'lost', 'GET';

    my $sid = Exam::sid('30', $tus->{student});
    ok eventually(sub { (Exam::redis_cmd('HGET', 'exam:{30}:stored',
        "$tus->{student}:$sid:screen") // -1) == 0 }), 'stored passes it';
    two_free($tus, 1, 'lost');

    # found after all

    $url = $tus->create(5, segment(0));
    is look($tus, 0)->{state}, 'lost', 'begun again it is still lost';
    is $tus->patch($url, 0, 'found')->{status}, 204, 'complete';
    is look($tus, 0)->{state}, 'received', 'it is received';
    is lost($tus, 0)->{json}{state}, 'received', 'and never lost again';
    is $tus->head($url)->{status}, 200, 'its URL stays';
    ok eventually(sub { Exam::redis_cmd('HGET',
        "exam:{30}:seg:$tus->{student}", "$sid:screen:0") =~ /^received / }),
        'the ledger';
};


subtest 'lost: whoever brings it has to let go' => sub {
    for my $n (0 .. 3) {        # also of the other process
        my $tus = candidate();
        my $url = $tus->create(11, segment(0));
        my $wire = hanging($tus, $url, 'hello', 11);

        is lost($tus, 0)->{json}{state}, 'lost', 'given up';
        ok $wire->closed(20), 'the connection is closed';
        is $tus->head($url)->{status}, 410, 'the upload is gone';
        is look($tus, 0)->{state}, 'lost', 'lost';
    }
};


subtest 'lost: an upload of the draft' => sub {
    my $c = candidate(fields => { 'Tus-Resumable' => undef,
                                  'Upload-Draft-Interop-Version' => 8 });
    my $res = $c->post({ 'Upload-Complete' => '?0',
        'Content-Type' => 'video/webm' }, 'hello',
        path => "$Exam::Tus::Path?kind=screen&n=0");
    my $url = Exam::Tus::path($res);

    is $res->{status}, 201, 'begun';
    is lost($c, 0)->{json}{state}, 'lost', 'given up';
    is_problem $c->patch($url, 5, 'x', 'Upload-Complete' => '?1',
        'Content-Type' => 'application/partial-upload'), 410, 'upload_gone',
        'PATCH';
};


subtest 'lost: on another node' => sub {
    my $tus = candidate();
    my $url = $tus->create(5, segment(0));

    is lost($tus, 0, $two)->{json}{state}, 'lost', 'given up';
    ok eventually(sub { look($tus, 0)->{state} eq 'lost' }), 'lost here';
    is $tus->offset($url), 0, 'it cannot be ended from there';
    is $tus->patch($url, 0, 'found')->{status}, 204, 'and may be found';
    is look($tus, 0)->{state}, 'received', 'received';
};


for (['PUT', \&put], ['a form', \&form]) {
    my ($name, $bring) = @$_;

    subtest "$name of a number that is on its way" => sub {
        my $tus = candidate();
        my $url = $tus->create(11, segment(0));

        is $tus->patch($url, 0, 'hello')->{status}, 204, 'some bytes';

        my $res = $bring->($tus, 0, 'hello world');
        is $res->{status}, 201, 'it comes otherwise';
        two_free($tus, 1, 'at once');
        is $tus->offset($url), 5, 'what was acknowledged stays';
        is $tus->patch($url, 5, ' world')->{status}, 204, 'the same content';
        is $tus->offset($url), 11, 'is complete';

        $url = $tus->create(11, segment(1));
        is $bring->($tus, 1, 'quick')->{status}, 201, 'the next one';
        is_problem $tus->patch($url, 0, 'hello world'), 409,
            'segment_conflict', 'another content';
        is $tus->head($url)->{status}, 410, 'which ends it';
        two_free($tus, 2, 'its place was free');
        is look($tus, 1)->{sha256}, sha256_hex('quick'), 'what was received';

        $url = $tus->create(11, segment(3));
        is $bring->($tus, 3, 'quick')->{status}, 201, 'one more';
        is_problem $tus->post({ 'Upload-Length' => $_, segment(3) }), 409,
            'segment_conflict', "created again, $_ bytes" for 11, 12;
        is $tus->offset($url), 0, 'it goes on, or expires';
    };
}


subtest 'a PUT beside a PATCH that goes on: the later one' => sub {
    for (['same', 204], ['else', 409]) {
        my ($body, $status) = @$_;
        my $tus = candidate();
        my $url = $tus->create(4, segment(0));
        my $wire = hanging($tus, $url, substr($body, 0, 2), 4);

        is put($tus, 0, 'same')->{status}, 201, 'the PUT';
        two_free($tus, 1, 'the place');
        $wire->send(substr $body, 2);
        is $wire->response->{status}, $status, "the PATCH: $status";
        is look($tus, 0)->{sha256}, sha256_hex('same'), 'what it has';
    }
};


subtest 'a place that is free stays so after a restart' => sub {
    my $three = node_at('n3', @limits);
    my $tus = candidate(at => $three);

    for (0, 1) {
        $tus->create(5, segment($_));
        is put($tus, $_, 'quick', $three)->{status}, 201, 'by PUT';
    }

    $three->nginx->stop('QUIT');

    my $again = node_at('n3', @limits);
    $tus = candidate(at => $again, student => $tus->{student});
    ok eventually(sub { $again->metric('sessions') }),
        'the spool has been read';
    two_free($tus, 2, 'anew');
};


subtest 'a PUT on another node' => sub {
    my $tus = candidate();
    my $url = $tus->create(5, segment(0));

    is put($tus, 0, 'quick', $two)->{status}, 201, 'it comes there';
    ok eventually(sub { look($tus, 0)->{state} eq 'received' }),
        'it is known here';
    is_problem $tus->post({ 'Upload-Length' => 5, segment(0) }), 409,
        'segment_conflict', 'created again here';
    two_free($tus, 1, 'which frees its place');
    ok eventually(sub { files($url) eq 'gone' }), 'its bytes are removed';
};


subtest 'a number of an ended session, paid for by the next one' => sub {
    my $old = candidate();
    my $student = $old->{student};
    my $sid = Exam::sid('30', $student);
    my $login = Exam::token(exam => '30', student => $student, gen => 2000,
                            sid => Exam::sid('30', $student, 2));
    my $url = $old->create(5, segment(0));

    my $res = $one->post("$path/screen/0/lost?session=$sid", { reason => 'x' },
                         $login);
    is $res->{status}, 200, 'given up' or diag $res->{content};
    is $old->head($url)->{status}, 410, 'gone';
};


subtest 'lost: the process is to leave meanwhile' => sub {
    my $node = node_at('n4', @limits);
    my $tus = candidate(at => $node);
    my $url = $tus->create(11, segment(0));
    my $body = '{"reason":"x"}';

    is $tus->patch($url, 0, 'hello')->{status}, 204, 'some bytes';

    my $strace = trace_begin($node->nginx->workers, '-o', '/dev/null',
        '-e', 'trace=unlinkat', '-e',
        'inject=unlinkat:delay_enter=2000000:when=1');

    SKIP: {
        skip 'processes cannot be traced here', 2 unless $strace;

        my $wire = Exam::Wire->new($node->nginx);

        $wire->head(POST => "$path/screen/0/lost",
            [Authorization => "Bearer $tus->{token}",
             'Content-Type' => 'application/json',
             'Content-Length' => length $body]);
        $wire->send($body);
        ok eventually(sub { () = glob "$node->{spool}/part/*/*.gone" }),
            'its upload is about to end';
        $node->nginx->reload;
        is +($wire->response // {})->{status}, 200, 'answered';

        trace_end($strace);
    }
};


subtest 'DELETE of what the ledger alone knows: it outlives its request' => sub {
    # freed memory says nothing any more
    local $ENV{MALLOC_PERTURB_} = 165;

    my $node = node_at('n5', @limits, main => 'worker_shutdown_timeout 1s;');
    my $tus = candidate(at => $node);
    my $url = $tus->create(5, segment(0));
    my ($id, $hex) = $url =~ m{([^/]+-(..)\w{30})\z};
    my $dir = "$node->{spool}/part/$hex";

    is $tus->patch($url, 0, 'hello')->{status}, 204, 'complete';
    ok eventually(sub { Exam::redis_cmd('HGET',
        "exam:{30}:seg:$tus->{student}",
        Exam::sid('30', $tus->{student}) . ':screen:0') =~ /^received / }),
        'the ledger has it';
    unlink glob "$node->{spool}/ready/*";

    open my $turn, '<', $dir or die "$dir: $!\n";
    flock $turn, LOCK_EX or die "$dir: $!\n";
    my $inode = (stat $turn)[1];

    my $wire = Exam::Wire->new($node->nginx);
    $wire->head(DELETE => $url, [Authorization => "Bearer $tus->{token}",
                                 'Tus-Resumable' => '1.0.0']);
    ok eventually(sub {
        Exam::slurp('/proc/locks') =~ /-> FLOCK .*:$inode /
    }), 'another one is at it';

    $node->nginx->reload;
    ok $wire->closed, 'the request is ended';
    close $turn;

    ok eventually(sub { -e "$dir/$id.gone" }), 'its work is done';
    like Exam::slurp("$dir/$id.gone"),
        qr/"exam":"30","student":"$tus->{student}"/, 'the tombstone';
    is $tus->head($url)->{status}, 410, 'tells its owner';
};


subtest 'all places are taken: which, and what to do' => sub {
    my $tus = candidate();
    my @url = map { $tus->create(5, segment($_)) } 4, 7;
    my $now = Exam::now_ms();

    for (['tus', $tus->post({ 'Upload-Length' => 5, segment(2) })],
         ['PUT', put($tus, 2, 'x')], ['a form', form($tus, 2, 'x')])
    {
        my ($name, $res) = @$_;
        my $json = $res->{json};

        is_problem $res, 503, 'too_many_uploads', $name;
        like $json->{detail}, qr/: screen 4, 7 wait for .* or wait \d+ s\z/, "$name: told";
        is_deeply [sort { $a->{n} <=> $b->{n} }
                   map { { %$_, expires_at => 0 } } @{ $json->{open} }],
            [map { { kind => 'screen', n => $_->[0], expires_at => 0,
                     id => $_->[1] =~ m{([^/]+)\z} } }
             [4, $url[0]], [7, $url[1]]], "$name: listed";
        cmp_ok abs($_->{expires_at} - $now - 86_400_000), '<', 60_000,
            "$name: until then" for @{ $json->{open} };
        cmp_ok $res->{headers}{'retry-after'}, '>=', 30,
            "$name: Retry-After: not at once";
        cmp_ok $res->{headers}{'retry-after'}, '<=', 60,
            "$name: Retry-After: nor tomorrow";
    }

    is_deeply sets($tus)->{receiving}, [[4, 4], [7, 7]], 'me lists them';
    is $tus->create(5, segment(7)), $url[1], 'one of them goes on';
    $tus->delete($url[0]);

    # one that somebody brings just now is over sooner

    my $wire = Exam::Wire->new($one->nginx);
    $wire->head(PUT => "$path/screen/2", [
        Authorization => "Bearer $tus->{token}", 'Content-Length' => 5,
        'Content-Type' => 'video/webm', Expect => '100-continue']);
    is $wire->response(interim => 1)->{status}, 100, 'a PUT begins';

    my $res = put($tus, 3, 'x');
    is_problem $res, 503, 'too_many_uploads', 'a third one';
    like $res->{json}{detail}, qr/: 1 under way, screen 7 waits .*wait \d+ s\z/, 'told';
    cmp_ok $res->{headers}{'retry-after'}, '<=', 5, 'Retry-After: soon';
    $wire->send('hello');
    is $wire->response->{status}, 201, 'it ends';
    is put($tus, 3, 'x')->{status}, 201, 'its place is free';

    my $ever = node_at('n4', @limits, exam_upload_expire => '0');
    my $stays = candidate(at => $ever);

    $stays->create(5, segment($_)) for 4, 7;
    $res = $stays->post({ 'Upload-Length' => 5, segment(2) });
    is_problem $res, 503, 'too_many_uploads', 'of those that never expire';
    like $res->{json}{detail}, qr/: screen 4, 7 wait .* or DELETE them\z/,
        'told';
    is $res->{json}{open}[0]{expires_at}, undef, 'there is no time to wait for';

    my @file = map { $tus->create(5) } 0, 1;
    $res = $tus->post({ 'Upload-Length' => 5 });
    is_problem $res, 503, 'too_many_uploads', 'attachments';
    like $res->{json}{detail}, qr/: file 0, 1 wait /, 'told';
};


subtest 'Redis away' => sub {
    Exam::redis()->stop;

    my $tus = candidate();
    my @url = map { $tus->create(5, segment($_)) } 0, 1;

    is_deeply sets($tus)->{receiving}, [[0, 1]], 'me lists what is here';
    is lost($tus, 0)->{json}{state}, 'lost', 'given up';
    is $tus->head($url[0])->{status}, 410, 'gone';
    is_deeply sets($tus)->{lost}, [[0, 0]], 'me: lost';
    $tus->create(5, segment(2));
    is_problem put($tus, 3, 'x'), 503, 'too_many_uploads', 'two again';
    is lost($tus, 2)->{json}{state}, 'lost', 'one is given up';
    is put($tus, 1, 'quick')->{status}, 201, 'one comes by PUT';
    is_problem $tus->post({ 'Upload-Length' => 5, segment(1) }), 409,
        'segment_conflict', 'created again';
    two_free($tus, 3, 'both places');
};

done_testing();
